/** @file Goals of a recipe against what was measured. */
import type { Goals } from '../recipe/recipe';
import { betterOf, findMetric, isPair, speedup } from './compare';
import { formatBytes, formatValue, metricName } from './format';
import type { Comparison, GoalResult } from './report';

type Draft = Omit<GoalResult, 'passed' | 'margin' | 'actual'> & { readonly atMost: boolean };

function judge({ atMost, ...goal }: Draft, actual: number | undefined, reason: string): GoalResult {
  if (actual === undefined) return { ...goal, actual: null, passed: false, margin: null, reason };
  const margin = atMost ? goal.limit - actual : actual - goal.limit;
  return { ...goal, actual, passed: margin >= 0, margin };
}

/** Judges every goal. A goal whose figure was not measured is missed, and says which stage is lacking. */
export function evaluateGoals(goals: Goals, comparisons: readonly Comparison[]): GoalResult[] {
  return [
    ...dropGoals(goals, comparisons),
    ...speedupGoal(goals, comparisons),
    ...bytesGoal(goals, comparisons),
    ...latencyGoal(goals, comparisons),
  ];
}

function dropGoals({ maxDrop }: Goals, comparisons: readonly Comparison[]): GoalResult[] {
  if (maxDrop === undefined) return [];
  const { metric, absolute, relative } = maxDrop;
  const found = findMetric(comparisons.filter(isPair), metric);
  const reason = `${metric} was not measured on both models: add an evaluate stage.`;
  let drop: number | undefined;
  let share: number | undefined;
  if (found !== undefined && isPair(found)) {
    drop = betterOf(metric) === 'higher' ? found.baseline - found.candidate : found.candidate - found.baseline;
    share = found.baseline === 0 ? undefined : drop / Math.abs(found.baseline);
  }
  const base = { goal: 'maxDrop', atMost: true } as const;
  const results: GoalResult[] = [];
  if (absolute !== undefined) {
    const label = `${metricName(metric)} drops by at most ${formatValue(absolute, 'points')}`;
    results.push(judge({ ...base, label, unit: 'points', limit: absolute }, drop, reason));
  }
  if (relative !== undefined) {
    const label = `${metricName(metric)} drops by at most ${formatValue(relative, 'ratio')} of the original`;
    results.push(judge({ ...base, label, unit: 'ratio', limit: relative }, share, reason));
  }
  return results;
}

function speedupGoal({ minSpeedup }: Goals, comparisons: readonly Comparison[]): GoalResult[] {
  if (minSpeedup === undefined) return [];
  const label = `At least ${formatValue(minSpeedup, 'times')} the speed (p50, mean over the measured grid)`;
  const reason = 'Latency was not measured on both models: add a benchmark stage.';
  const draft = { goal: 'minSpeedup', label, unit: 'times', limit: minSpeedup, atMost: false } as const;
  return [judge(draft, speedup(comparisons)?.mean, reason)];
}

function bytesGoal({ maxBytes }: Goals, comparisons: readonly Comparison[]): GoalResult[] {
  if (maxBytes === undefined) return [];
  const label = `At most ${formatBytes(maxBytes)} on disk`;
  const reason = 'The size was not measured: add a benchmark stage.';
  const draft = { goal: 'maxBytes', label, unit: 'bytes', limit: maxBytes, atMost: true } as const;
  return [judge(draft, findMetric(comparisons, 'bytes.model')?.candidate, reason)];
}

function latencyGoal({ maxLatencyMs }: Goals, comparisons: readonly Comparison[]): GoalResult[] {
  if (maxLatencyMs === undefined) return [];
  const { value, batch, sequence } = maxLatencyMs;
  const found = comparisons.find(
    ({ metric, context }) => metric === 'latency.p50' && context['batch'] === batch && context['sequence'] === sequence,
  );
  const label = `Latency p50 at most ${formatValue(value, 'ms')} at batch ${batch}, ${sequence} tokens`;
  const reason = `Latency was not measured at batch ${batch}, sequence ${sequence}: add it to the benchmark stage's grid.`;
  return [judge({ goal: 'maxLatencyMs', label, unit: 'ms', limit: value, atMost: true }, found?.candidate, reason)];
}
