/** @file Goals that a recipe cannot reach, or that nothing in it would judge, found before it runs. */
import type { Manifest } from '../bundle/manifest';
import type { FieldIssue } from '../errors';
import { ALL_METRICS, isShare, metricsOf } from '../evaluate/task-metrics';
import { formatBytes } from '../report/format';
import type { Measures, StagePreview } from '../stages/stage';
import { estimateStages, expectedModels } from './preview';
import type { Goals } from './recipe';
import type { ResolvedStage } from './resolve';

/** An expected size this many times too large is refused: estimates take weights for float32, they may be float16. */
const CERTAINLY_TOO_LARGE = 2;
const FLOAT_BYTES = 4;

interface Question {
  readonly goals: Goals;
  readonly stages: readonly ResolvedStage[];
  /** Stage whose model is the job's result. */
  readonly result: ResolvedStage | undefined;
  /** What the stages find out about the result. */
  readonly measured: readonly Measures[];
  /** Absent while a recipe is only saved. */
  readonly inputs: StagePreview | undefined;
}

/**
 * Problems of a recipe's goals: no stage that would judge them, a metric that the task has not, a size or speed that
 * these stages cannot give. Fields: `goals.<goal>...`.
 * @param inputs the job's model and data sets; without them only what the recipe alone tells is checked
 */
export function goalIssues(
  goals: Goals | undefined,
  stages: readonly ResolvedStage[],
  inputs?: StagePreview,
): FieldIssue[] {
  if (goals === undefined) return [];
  const result = [...stages].sort((a, b) => a.index - b.index).findLast(({ definition }) => definition.makesModel);
  const measured = stages
    .filter((stage) => stage === result || (!stage.definition.makesModel && stage.from === result?.id))
    .map(({ definition, config }) => definition.measures?.(config) ?? {});
  const question: Question = { goals, stages, result, measured, inputs };
  return [
    ...dropIssues(question),
    ...looserIssues(question),
    ...speedIssues(question),
    ...bytesIssues(question),
    ...latencyIssues(question),
  ];
}

function dropIssues({ goals: { maxDrop }, stages, result, measured, inputs }: Question): FieldIssue[] {
  if (!maxDrop) return [];
  const { metric, absolute } = maxDrop;
  const task = expectedTask(result, stages, inputs);
  const issues: FieldIssue[] = [];
  const issue = (field: string, code: string, message: string): void =>
    void issues.push({ field: `goals.maxDrop${field}`, code, message });
  if (!measured.some(({ quality }) => quality)) issue('', 'not-measured', `${notJudged('evaluate')} for ${metric}.`);
  if (lacksOriginal(result, inputs)) issue('', 'no-original', NO_ORIGINAL);
  const known = task ? metricsOf(task, inputs?.datasets.data?.kind) : ALL_METRICS;
  if (!known.includes(metric)) {
    const whose = task ? `A model for ${task}` : 'The evaluate stage';
    issue('.metric', 'unknown-metric', `${whose} has no "${metric}"; known: ${known.join(', ') || 'none'}.`);
  }
  if (isShare(metric) && absolute !== undefined && absolute >= 1) {
    issue('.absolute', 'always-met', `${metric} lies between 0 and 1, one point is 0.01: any model drops by less.`);
  }
  return issues;
}

/** Task of the result, where it can be told. */
function expectedTask(
  result: ResolvedStage | undefined,
  stages: readonly ResolvedStage[],
  inputs: StagePreview | undefined,
): Manifest['task'] | undefined {
  if (inputs === undefined) return undefined;
  return result === undefined ? inputs.model?.task : expectedModels(stages, inputs).get(result.id)?.task;
}

/** Whether the result will be compared with nothing: the job has no model, and the recipe names no baseline before it. */
const lacksOriginal = (result: ResolvedStage | undefined, inputs: StagePreview | undefined): boolean =>
  inputs !== undefined && inputs.model === undefined && result?.baseline === undefined;

/** Stages on the way to the result that let themselves lose more of the metric than the goal allows in all. */
function looserIssues({ goals: { maxDrop }, stages, result }: Question): FieldIssue[] {
  if (!maxDrop) return [];
  const byId = new Map(stages.map((stage) => [stage.id, stage]));
  const issues: FieldIssue[] = [];
  for (let stage = result; stage; stage = stage.from === undefined ? undefined : byId.get(stage.from)) {
    const { mayLose } = stage.definition.measures?.(stage.config) ?? {};
    if (!mayLose || mayLose.maxDrop.metric !== maxDrop.metric) continue;
    const looser = (['absolute', 'relative'] as const).find((kind) => {
      const [allowed, goal] = [mayLose.maxDrop[kind], maxDrop[kind]];
      return allowed !== undefined && goal !== undefined && allowed > goal;
    });
    if (looser === undefined) continue;
    const message = `This lets the stage lose ${mayLose.maxDrop[looser]} of ${maxDrop.metric}, more than the goal of ${maxDrop[looser]} for the whole recipe.`;
    issues.push({ field: `stages[${stage.index}].config.${mayLose.path}`, code: 'looser-than-goal', message });
  }
  return issues;
}

function speedIssues({ goals: { minSpeedup }, result, measured, inputs }: Question): FieldIssue[] {
  if (minSpeedup === undefined) return [];
  const field = 'goals.minSpeedup';
  const issues: FieldIssue[] = [];
  if (!measured.some(({ latency }) => latency))
    issues.push({ field, code: 'not-measured', message: `${notJudged('benchmark')}.` });
  if (lacksOriginal(result, inputs)) issues.push({ field, code: 'no-original', message: NO_ORIGINAL });
  if (minSpeedup > 1 && !result) {
    const message = 'No stage of the recipe changes the model, so it cannot become faster.';
    issues.push({ field, code: 'impossible', message });
  }
  return issues;
}

function bytesIssues({ goals: { maxBytes }, stages, result, measured, inputs }: Question): FieldIssue[] {
  if (maxBytes === undefined) return [];
  const field = 'goals.maxBytes';
  if (!measured.some(({ bytes }) => bytes))
    return [{ field, code: 'not-measured', message: `${notJudged('benchmark')}.` }];
  if (!inputs?.model) return [];
  const ratio = result ? estimateStages(stages, inputs).find(({ stage }) => stage === result.id)?.total.bytes : 1;
  const expected = ratio === undefined ? 0 : ratio * FLOAT_BYTES * inputs.model.parameters.total;
  if (expected < CERTAINLY_TOO_LARGE * maxBytes) return [];
  const message = `These stages make a model of about ${formatBytes(expected)}, which is far above ${formatBytes(maxBytes)}.`;
  return [{ field, code: 'impossible', message }];
}

function latencyIssues({ goals: { maxLatencyMs }, measured }: Question): FieldIssue[] {
  if (!maxLatencyMs) return [];
  const { batch, sequence } = maxLatencyMs;
  const grids = measured.flatMap(({ latency }) => latency ?? []);
  const field = 'goals.maxLatencyMs';
  if (grids.length === 0) return [{ field, code: 'not-measured', message: `${notJudged('benchmark')}.` }];
  if (grids.some(({ batches, sequences }) => batches.includes(batch) && sequences.includes(sequence))) return [];
  const shapes = grids.flatMap(({ batches, sequences }) => batches.flatMap((b) => sequences.map((s) => `${b}x${s}`)));
  const message = `No benchmark stage measures batch ${batch} with ${sequence} tokens, only ${shapes.join(', ')}.`;
  return [{ field, code: 'not-measured', message }];
}

const NO_ORIGINAL = 'The job has no original model to compare the result with.';

const notJudged = (stage: string): string =>
  `No stage measures this on the result: add a stage of type ${stage} after it`;
