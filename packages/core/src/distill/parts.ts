/** @file The parts of a distillation (learning from the teacher, then from labels) and which of them is kept. */
import { METRIC_MODE } from '../finetune/score';
import type { Scores, ScoreMetric } from '../finetune/score';
import type { TrainingContext } from '../finetune/train-on';
import type { StageContext } from '../stages/stage';
import type { DistillConfig } from './config';
import type { TransferSet } from './transfer-set';
import type { DanModel } from '@modelpress/dan';
import type { Bundle } from '../bundle';

export type PartName = 'distill' | 'fineTune';

/** What a part's training looked like. */
export interface PartResult {
  readonly name: PartName;
  readonly lossCurve: readonly (readonly [number, number])[];
  readonly scoreCurve: readonly (readonly [number, number])[];
  readonly metric: ScoreMetric;
  /** On the dev split; absent without one. */
  readonly dev?: Scores;
  readonly steps: number;
  readonly seconds: number;
}

export interface DistillResult {
  readonly bundle: Bundle;
  /** What model.dan holds, for a DAN. */
  readonly dan?: DanModel;
  readonly transfer: TransferSet;
  readonly parts: readonly PartResult[];
  /** Whose weights the bundle has. */
  readonly kept: PartName;
  readonly warnings: readonly string[];
}

/** What a part is given to train with: the stage's context, its own checkpoints, and its share of the progress. */
export function partContext(
  context: StageContext,
  dataset: string,
  name: PartName | 'teacher',
  [from, to]: readonly [number, number],
): TrainingContext {
  return {
    ...context,
    dataset,
    checkpoints: `${context.checkpoints}/${name}`,
    progress: ({ fraction, phase }) =>
      context.progress({ fraction: from + (to - from) * fraction, phase: `${WORDS[name]}: ${phase}` }),
    metric: (metric, step, value) => context.metric(`${name}.${metric}`, step, value),
  };
}

const WORDS: Readonly<Record<PartName | 'teacher', string>> = {
  teacher: 'teacher',
  distill: 'distillation',
  fineTune: 'fine-tuning',
};

/** Whether labels follow the teacher. */
export const fineTunes = ({ mode, fineTune }: DistillConfig): boolean => mode === 'standard' && fineTune.epochs > 0;

/** The part with the better dev score; without a dev split the later one. On a tie the teacher's. */
export function betterPart(distilled: PartResult, tuned: PartResult): PartName {
  const { metric } = tuned;
  const [before, after] = [distilled.dev?.[metric], tuned.dev?.[metric]];
  if (before === undefined || after === undefined) return 'fineTune';
  return (METRIC_MODE[metric] === 'max' ? after > before : after < before) ? 'fineTune' : 'distill';
}
