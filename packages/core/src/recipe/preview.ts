/** @file What can be told of a resolved recipe before it runs: problems with its inputs, and the expected effect. */
import { isQuantized } from '../bundle/manifest';
import type { Manifest } from '../bundle/manifest';
import type { FieldIssue } from '../errors';
import type { Estimate, StagePreview } from '../stages/stage';
import type { ResolvedStage } from './resolve';

/** The model that each stage leaves, by stage id, as far as it can be told: what it makes, or what it reads. */
export function expectedModels(
  stages: readonly ResolvedStage[],
  { model, datasets }: Pick<StagePreview, 'model' | 'datasets'>,
): ReadonlyMap<string, Manifest | undefined> {
  const left = new Map<string, Manifest | undefined>();
  for (const { id, from, config, definition } of stages) {
    const input = from === undefined ? model : left.get(from);
    left.set(id, definition.makesModel ? input && definition.outcome?.(config, input, datasets) : input);
  }
  return left;
}

/** What each stage will know of its inputs, by stage id. */
function previews(stages: readonly ResolvedStage[], inputs: StagePreview): Map<string, StagePreview> {
  const { model, ...others } = inputs;
  const left = expectedModels(stages, inputs);
  return new Map(
    stages.map(({ id, from }) => {
      const input = from === undefined ? model : left.get(from);
      return [id, input === undefined ? others : { model: input, ...others }];
    }),
  );
}

/** Stages that cannot read their model because it will be quantized by then, known or not otherwise. */
function quantizedIssues(stages: readonly ResolvedStage[], { model }: StagePreview): FieldIssue[] {
  const quantizers = new Map<string, string | undefined>();
  const uploaded = model && isQuantized(model) ? 'The model is quantized already' : undefined;
  return stages.flatMap(({ id, index, from, config, definition }): FieldIssue[] => {
    const why = from === undefined ? uploaded : quantizers.get(from);
    const does = definition.onQuantized?.(config) ?? 'reads';
    if (definition.type === QUANTIZE) quantizers.set(id, `Stage "${id}" quantizes the model`);
    else quantizers.set(id, does === 'replaces' ? undefined : why);
    if (why === undefined || typeof does === 'string') return [];
    return [{ field: `stages[${index}].config`, code: 'already-quantized', message: `${why}: ${does.refuses}.` }];
  });
}

/** The stage type whose results have fewer bits. */
const QUANTIZE = 'quantize';

/**
 * Problems of running these stages on these inputs: a missing model or data set, and what each stage's own check finds.
 * Fields: `model`, `datasets.<role>`, `teacherIds`, `stages[i].config.<path>`.
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
    if (needs.model === true && stage.from === undefined && inputs.model === undefined)
      require('model', stage, 'a model');
    for (const role of needs.datasets)
      if (inputs.datasets[role] === undefined) require(`datasets.${role}`, stage, `a data set as "${role}"`);
  }
  if (missing.size > 0) return [...missing.values()];
  const taught = stages.some(({ definition }) => definition.needs.teachers);
  if (inputs.teachers?.length && !taught) return [UNTAUGHT];
  const known = previews(stages, inputs);
  const found = stages.flatMap(({ id, index, config, definition }) =>
    (definition.check?.(config, known.get(id)!) ?? []).map(({ path, code, message }) => ({
      field: `stages[${index}].config${path === '' ? '' : `.${path}`}`,
      code,
      message,
    })),
  );
  return [...quantizedIssues(stages, inputs), ...found];
}

const UNTAUGHT: FieldIssue = {
  field: 'teacherIds',
  code: 'unused',
  message: 'No stage of the recipe learns from further teachers: `distill` does.',
};

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
  const known = previews(stages, inputs);
  const unchanged = { parameters: 1, bytes: 1, flops: 1 };
  return stages.map((stage) => {
    const { definition } = stage;
    const before = (stage.from === undefined ? undefined : totals.get(stage.from)) ?? unchanged;
    const estimate = definition.estimate?.(stage.config, known.get(stage.id)!) ?? { notes: [] };
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
