/** @file Original against result: pairs of equal measurements, and the few figures that stand at the top of a report. */
import type { Measurement } from './measurement';
import type { Comparison, ReportStage } from './report';

const LOWER_IS_BETTER = /^(latency|bytes|memory|flops|parameters|energy|carbon|loss|perplexity|ece|mse|rmse|mae)\b/;

/** Whether a higher or a lower figure of this metric is the better one. */
export const betterOf = (metric: string): 'higher' | 'lower' => (LOWER_IS_BETTER.test(metric) ? 'lower' : 'higher');

/** The last stage of the recipe that made a model: that model is the job's result. */
export const resultStage = (stages: readonly ReportStage[]): ReportStage | undefined =>
  stages.findLast((stage) => stage.makesModel && stage.state === 'succeeded');

const keyOf = ({ metric, context }: Measurement): string =>
  JSON.stringify([metric, Object.entries(context).sort(([a], [b]) => a.localeCompare(b))]);

/**
 * Pairs what was measured on the job's result with the same metric under the same conditions on the original model.
 * Of a figure measured twice the later one counts. A stage that measures the job's model itself gives baselines.
 */
export function compareModels(stages: readonly ReportStage[]): Comparison[] {
  const result = resultStage(stages);
  const baselines = new Map<string, Measurement>();
  const candidates = new Map<string, Measurement>();
  for (const stage of stages) {
    const measuresOriginal = !stage.makesModel && stage.from === undefined;
    const measuresResult = result === undefined ? measuresOriginal : stage === result || stage.from === result.id;
    for (const measurement of stage.measurements) {
      const { subject } = measurement;
      const isBaseline =
        subject === 'baseline' || (subject === 'candidate' && measuresOriginal && result !== undefined);
      if (isBaseline) baselines.set(keyOf(measurement), measurement);
      else if (subject === 'candidate' && measuresResult && !(stage.makesModel && stage !== result))
        candidates.set(keyOf(measurement), measurement);
    }
  }
  return [...candidates].map(([key, { metric, unit, context, value }]) => ({
    metric,
    unit,
    context,
    baseline: baselines.get(key)?.value ?? null,
    candidate: value,
    better: betterOf(metric),
  }));
}

/** What was measured of the result and the original together: speed-ups, differences, fidelity. */
export function differencesOf(stages: readonly ReportStage[]): Measurement[] {
  const result = resultStage(stages);
  return stages
    .filter((stage) => stage === result || (!stage.makesModel && stage.from === result?.id))
    .flatMap(({ measurements }) => measurements.filter(({ subject }) => subject === 'comparison'));
}

/** A comparison with both figures. */
export type Pair = Comparison & { readonly baseline: number };

export const isPair = (comparison: Comparison): comparison is Pair => comparison.baseline !== null;

/** Comparisons of one metric, on the test split where there is one. */
export function findMetric(comparisons: readonly Comparison[], metric: string): Comparison | undefined {
  const found = comparisons.filter((comparison) => comparison.metric === metric);
  return found.find(({ context }) => context['split'] === 'test') ?? found[0];
}

export interface Speedup {
  /** Geometric mean over the measured grid, original over candidate. */
  readonly mean: number;
  readonly min: number;
  readonly max: number;
  readonly points: number;
}

/** Ratio of p50 latencies over all conditions measured on both models; undefined where there is none. */
export function speedup(comparisons: readonly Comparison[]): Speedup | undefined {
  const ratios = comparisons
    .filter(isPair)
    .filter(({ metric, baseline, candidate }) => metric === 'latency.p50' && baseline > 0 && candidate > 0)
    .map(({ baseline, candidate }) => baseline / candidate);
  if (ratios.length === 0) return undefined;
  const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
  return { mean, min: Math.min(...ratios), max: Math.max(...ratios), points: ratios.length };
}
