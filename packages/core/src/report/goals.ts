/** @file Goals of a recipe against what was measured. */
import type { Goals } from '../recipe/recipe';
import { betterOf, findMetric, isPair, speedup } from './compare';
import type { Pair } from './compare';
import { formatBytes, formatContext, formatValue, metricName } from './format';
import type { Measurement } from './measurement';
import type { Comparison, GoalResult } from './report';

type Draft = Omit<GoalResult, 'passed' | 'margin' | 'actual' | 'reason'> & {
  readonly atMost: boolean;
  /** Said when the figure was not measured. */
  readonly lacking: string;
  /** Said when the goal is missed: what the figure comes from. */
  readonly because: string;
};

/** A difference of two figures may be this much off: 0.96 - 0.95 is above 0.01. */
const ROUNDING = 1e-9;

function judge({ atMost, lacking, because, ...goal }: Draft, actual: number | undefined): GoalResult {
  if (actual === undefined) return { ...goal, actual: null, passed: false, margin: null, reason: lacking };
  const margin = atMost ? goal.limit - actual : actual - goal.limit;
  return margin >= -ROUNDING * Math.max(1, goal.limit)
    ? { ...goal, actual, passed: true, margin }
    : { ...goal, actual, passed: false, margin, reason: because };
}

/**
 * Judges every goal. A goal whose figure was not measured is missed, and says which stage is lacking; one whose figure
 * is outside the limit says what the figure comes from.
 * @param differences measurements of result against original, for the uncertainty of a drop
 */
export function evaluateGoals(
  goals: Goals,
  comparisons: readonly Comparison[],
  differences: readonly Measurement[] = [],
): GoalResult[] {
  return [
    ...dropGoals(goals, comparisons, differences),
    ...speedupGoal(goals, comparisons),
    ...bytesGoal(goals, comparisons),
    ...latencyGoal(goals, comparisons),
  ];
}

function dropGoals(
  { maxDrop }: Goals,
  comparisons: readonly Comparison[],
  differences: readonly Measurement[],
): GoalResult[] {
  if (maxDrop === undefined) return [];
  const { metric, absolute, relative } = maxDrop;
  const found = findMetric(comparisons.filter(isPair), metric);
  const pair = found !== undefined && isPair(found) ? found : undefined;
  const drop =
    pair && (betterOf(metric) === 'higher' ? pair.baseline - pair.candidate : pair.candidate - pair.baseline);
  const base = {
    goal: 'maxDrop',
    atMost: true,
    lacking: `${metric} was not measured on both models: add an evaluate stage.`,
    because: pair ? `${changeOf(pair)}${uncertainty(pair, differences)}` : '',
  } as const;
  const results: GoalResult[] = [];
  if (absolute !== undefined) {
    const unit = pair?.unit === 'ratio' || pair === undefined ? 'points' : pair.unit;
    const label = `${metricName(metric)} drops by at most ${formatValue(absolute, unit)}`;
    results.push(judge({ ...base, label, unit, limit: absolute }, drop));
  }
  if (relative !== undefined) {
    const share = pair && drop !== undefined && pair.baseline !== 0 ? drop / Math.abs(pair.baseline) : undefined;
    const label = `${metricName(metric)} drops by at most ${formatValue(relative, 'ratio')} of the original`;
    results.push(judge({ ...base, label, unit: 'ratio', limit: relative }, share));
  }
  return results;
}

const changeOf = ({ metric, unit, baseline, candidate }: Pair): string =>
  `${metricName(metric)} went from ${formatValue(baseline, unit)} to ${formatValue(candidate, unit)}.`;

/** The 95 % interval of the change, where an evaluate stage computed one. */
function uncertainty({ metric, unit, context }: Pair, differences: readonly Measurement[]): string {
  const difference = differences.findLast(
    (one) => one.metric === `${metric}.difference` && one.context['split'] === context['split'],
  );
  if (!difference?.interval) return '';
  const [low, high] = difference.interval.map((end) => {
    return formatValue(end, unit === 'ratio' ? 'points' : unit).replace('-', '−');
  });
  return ` With 95 % confidence the change lies between ${low} and ${high}.`;
}

function speedupGoal({ minSpeedup }: Goals, comparisons: readonly Comparison[]): GoalResult[] {
  if (minSpeedup === undefined) return [];
  const fast = speedup(comparisons);
  const label = `At least ${formatValue(minSpeedup, 'times')} the speed (p50, mean over the measured grid)`;
  const range = fast ? `${formatValue(fast.min, 'times')} to ${formatValue(fast.max, 'times')}` : '';
  const draft = {
    goal: 'minSpeedup',
    label,
    unit: 'times',
    limit: minSpeedup,
    atMost: false,
    lacking: 'Latency was not measured on both models: add a benchmark stage.',
    because: `It is ${range} as fast as the original at the measured shapes.`,
  } as const;
  return [judge(draft, fast?.mean)];
}

function bytesGoal({ maxBytes }: Goals, comparisons: readonly Comparison[]): GoalResult[] {
  if (maxBytes === undefined) return [];
  const found = findMetric(comparisons, 'bytes.model');
  const draft = {
    goal: 'maxBytes',
    label: `At most ${formatBytes(maxBytes)} on disk`,
    unit: 'bytes',
    limit: maxBytes,
    atMost: true,
    lacking: 'The size was not measured: add a benchmark stage.',
    because: found && isPair(found) ? `The original has ${formatBytes(found.baseline)}.` : 'The model is too large.',
  } as const;
  return [judge(draft, found?.candidate)];
}

/** The slowest of the thread counts that were measured at the shape. */
function latencyGoal({ maxLatencyMs }: Goals, comparisons: readonly Comparison[]): GoalResult[] {
  if (maxLatencyMs === undefined) return [];
  const { value, batch, sequence } = maxLatencyMs;
  const [slowest] = comparisons
    .filter(
      ({ metric, context }) =>
        metric === 'latency.p50' && context['batch'] === batch && context['sequence'] === sequence,
    )
    .sort((a, b) => b.candidate - a.candidate);
  const before =
    slowest && isPair(slowest) ? `; the original takes ${formatValue(slowest.baseline, slowest.unit)}` : '';
  const draft = {
    goal: 'maxLatencyMs',
    label: `Latency p50 at most ${formatValue(value, 'ms')} at batch ${batch}, ${sequence} tokens`,
    unit: 'ms',
    limit: value,
    atMost: true,
    lacking: `Latency was not measured at batch ${batch}, sequence ${sequence}: add it to the benchmark stage's grid.`,
    because: slowest ? `Measured at ${formatContext(slowest.context)}${before}.` : '',
  } as const;
  return [judge(draft, slowest?.candidate)];
}
