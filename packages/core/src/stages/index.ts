/** @file The registry of stages: the one place that knows them all. */
import { z } from 'zod';
import { accelerateStage } from './accelerate';
import { benchmarkStage } from './benchmark';
import { distillStage } from './distill';
import { evaluateStage } from './evaluate';
import { factorizeStage } from './factorize';
import { finetuneStage } from './finetune';
import { pretrainStage } from './pretrain';
import { pruneStage } from './prune';
import { quantizeStage } from './quantize';
import { sensitivityStage } from './sensitivity';
import { shareStage } from './share';
import type { QueueName, StageDefinition } from './stage';

export * from './stage';

/** Stage types that this version implements. */
export const STAGE_TYPES = [
  'pretrain',
  'finetune',
  'distill',
  'prune',
  'factorize',
  'share',
  'quantize',
  'sensitivity',
  'accelerate',
  'evaluate',
  'benchmark',
] as const;
export type StageType = (typeof STAGE_TYPES)[number];

/** Every stage by type. */
export const STAGES: Readonly<Record<StageType, StageDefinition>> = {
  pretrain: pretrainStage,
  finetune: finetuneStage,
  distill: distillStage,
  prune: pruneStage,
  factorize: factorizeStage,
  share: shareStage,
  quantize: quantizeStage,
  sensitivity: sensitivityStage,
  accelerate: accelerateStage,
  evaluate: evaluateStage,
  benchmark: benchmarkStage,
};

/** What `GET /v1/stages` says of a stage. */
export interface StageDescription {
  readonly type: StageType;
  readonly version: number;
  readonly queue: QueueName;
  readonly summary: string;
  readonly needs: StageDefinition['needs'];
  readonly makesModel: boolean;
  /** JSON Schema (draft 2020-12) of the config as users write it: defaults and descriptions included. */
  readonly schema: Readonly<Record<string, unknown>>;
}

/** Describes every stage, in the order of STAGE_TYPES. */
export function stageSchemas(): StageDescription[] {
  return STAGE_TYPES.map((type) => {
    const { version, queue, summary, needs, makesModel, schema } = STAGES[type];
    const { $schema: _, ...json } = z.toJSONSchema(schema, { io: 'input' });
    return { type, version, queue, summary, needs, makesModel, schema: json };
  });
}
