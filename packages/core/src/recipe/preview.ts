/** @file What can be told of a resolved recipe before it runs: problems with its inputs, and the expected effect. */
import type { FieldIssue } from '../errors';
import type { Estimate, StagePreview } from '../stages/stage';
import type { ResolvedStage } from './resolve';

/** What a stage will know of its inputs: the job's model only where it reads that one. */
const previewOf = (stage: ResolvedStage, { model, datasets }: StagePreview): StagePreview =>
  stage.from === undefined && model !== undefined ? { model, datasets } : { datasets };

/**
 * Problems of running these stages on these inputs: a missing model or data set, and what each stage's own check finds.
 * Fields: `model`, `datasets.<role>`, `stages[i].config.<path>`.
 */
export function checkInputs(stages: readonly ResolvedStage[], inputs: StagePreview): FieldIssue[] {
  const missing = new Map<string, FieldIssue>();
  const require = (field: string, stage: ResolvedStage, what: string): void => {
    if (!missing.has(field))
      missing.set(field, {
        field,
        code: 'required',
        message: `Stage "${stage.id}" (${stage.definition.type}) needs ${what}.`,
      });
  };
  for (const stage of stages) {
    const { needs } = stage.definition;
    if (needs.model && stage.from === undefined && inputs.model === undefined) require('model', stage, 'a model');
    for (const role of needs.datasets)
      if (inputs.datasets[role] === undefined) require(`datasets.${role}`, stage, `a data set as "${role}"`);
  }
  if (missing.size > 0) return [...missing.values()];
  return stages.flatMap((stage) => {
    const found = stage.definition.check?.(stage.config, previewOf(stage, inputs)) ?? [];
    return found.map(({ path, code, message }) => ({
      field: `stages[${stage.index}].config${path === '' ? '' : `.${path}`}`,
      code,
      message,
    }));
  });
}

/** Expected effect of one stage, and of everything up to it, relative to the job's model. */
export interface StageEstimate {
  readonly stage: string;
  readonly estimate: Estimate;
  /** Products of the ratios along the chain; absent where a stage on it cannot tell. */
  readonly total: { readonly parameters?: number; readonly bytes?: number; readonly flops?: number };
}

const RATIOS = ['parameters', 'bytes', 'flops'] as const;

/** Estimates stages in order (each after the one it reads, as `resolveRecipe` gives them). */
export function estimateStages(stages: readonly ResolvedStage[], inputs: StagePreview): StageEstimate[] {
  const totals = new Map<string, StageEstimate['total']>();
  const unchanged = { parameters: 1, bytes: 1, flops: 1 };
  return stages.map((stage) => {
    const { definition } = stage;
    const before = (stage.from === undefined ? undefined : totals.get(stage.from)) ?? unchanged;
    const estimate = definition.estimate?.(stage.config, previewOf(stage, inputs)) ?? { notes: [] };
    const ratios = definition.makesModel ? estimate : unchanged;
    const total = Object.fromEntries(
      RATIOS.flatMap((key) => {
        const [was, ratio] = [before[key], ratios[key]];
        return was === undefined || ratio === undefined ? [] : [[key, was * ratio]];
      }),
    );
    totals.set(stage.id, total);
    return { stage: stage.id, estimate, total };
  });
}
