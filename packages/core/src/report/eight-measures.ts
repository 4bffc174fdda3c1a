/**
 * @file The eight measures of a compressed model: operations, inference time, speed-up, parameters, size, carbon,
 * fidelity and robustness, original against result.
 */
import { differencesOf, findMetric, isPair, speedup } from './compare';
import type { Pair } from './compare';
import { formatChange, formatContext, formatNumber, formatValue, metricName } from './format';
import type { Report } from './report';

export interface MeasureRow {
  readonly measure: string;
  /** Null where it has no meaning or was not measured. */
  readonly original: string | null;
  readonly result: string | null;
  readonly change: string | null;
  /** Conditions, how it was found, or which stage would measure it. */
  readonly note: string;
}

/** Rows of the table, one or two for each measure; empty for a job that measured nothing of its result. */
export function eightMeasures(report: Report): MeasureRow[] {
  if (report.comparisons.length === 0) return [];
  return [
    pairRow(report, 'FLOPs', 'flops', BENCHMARK),
    pairRow(report, 'Inference time', 'latency.p50', BENCHMARK),
    speedRow(report),
    pairRow(report, 'Parameters', 'parameters', BENCHMARK),
    ...trainableRow(report),
    pairRow(report, 'Model size', 'bytes.model', BENCHMARK),
    pairRow(report, 'Energy', 'energy', BENCHMARK),
    pairRow(report, 'Carbon footprint', 'carbon', BENCHMARK),
    fidelityRow(report, 'Fidelity, labels', 'fidelity.labels', 'share of equal predictions'),
    fidelityRow(report, 'Fidelity, probabilities', 'fidelity.probabilities', '1 − √ of the Jensen–Shannon divergence'),
    pairRow(report, 'Robustness', 'robustness', EVALUATE),
  ];
}

const BENCHMARK = 'not measured: add a benchmark stage';
const EVALUATE = 'not measured: add an evaluate stage with labelled data';

/** What a figure of 1,000 texts or of changed texts is a figure of. */
const EXPLAINED: Readonly<Record<string, string>> = {
  flops: 'one pass',
  energy: '1,000 texts',
  carbon: '1,000 texts',
  robustness: 'accuracy kept on changed texts',
};

function pairRow({ comparisons }: Report, measure: string, metric: string, lacking: string): MeasureRow {
  const found = findMetric(comparisons, metric);
  if (!found) return { measure, original: null, result: null, change: null, note: lacking };
  const { unit, candidate, context } = found;
  const pair: Pair | undefined = isPair(found) ? found : undefined;
  return {
    measure,
    original: pair ? formatValue(pair.baseline, unit) : null,
    result: formatValue(candidate, unit),
    change: pair ? formatChange(pair.baseline, candidate, unit) : null,
    note: [EXPLAINED[metric] ?? '', formatContext(context)].filter((part) => part !== '').join('; '),
  };
}

function speedRow({ comparisons }: Report): MeasureRow {
  const fast = speedup(comparisons);
  if (!fast) return { measure: 'Speed-up', original: null, result: null, change: null, note: BENCHMARK };
  const range = `${formatValue(fast.min, 'times')} to ${formatValue(fast.max, 'times')}`;
  const note = fast.points === 1 ? 'p50 at one condition' : `p50, mean of ${fast.points} conditions: ${range}`;
  return {
    measure: 'Speed-up',
    original: formatValue(1, 'times'),
    result: formatValue(fast.mean, 'times'),
    change: null,
    note,
  };
}

/** Of the last stage on the way to the result that trained anything. */
function trainableRow({ stages }: Report): MeasureRow[] {
  const trained = stages.findLast(({ makesModel, state, measurements }) => {
    const counts = measurements.some(({ metric }) => metric === 'parameters.trainable');
    return makesModel && state === 'succeeded' && counts;
  });
  const count = trained?.measurements.find(({ metric }) => metric === 'parameters.trainable');
  if (!trained || !count) return [];
  const result = formatValue(count.value, 'count');
  return [{ measure: 'Trained parameters', original: null, result, change: null, note: `in stage ${trained.id}` }];
}

function fidelityRow({ stages }: Report, measure: string, metric: string, meaning: string): MeasureRow {
  const found = differencesOf(stages).findLast((one) => one.metric === metric);
  if (!found) return { measure, original: null, result: null, change: null, note: EVALUATE };
  const note = [meaning, formatContext(found.context)].filter((part) => part !== '').join('; ');
  return { measure, original: formatValue(1, 'ratio'), result: formatValue(found.value, 'ratio'), change: null, note };
}

/** A figure over the seeds of a job. */
export interface SeedSpread {
  readonly metric: string;
  readonly unit: string;
  readonly mean: number;
  /** Sample standard deviation. */
  readonly deviation: number;
  readonly seeds: number;
}

/** Spread of a metric over reports that differ in nothing but the seed; undefined for fewer than two. */
export function seedSpread(reports: readonly Report[], metric: string): SeedSpread | undefined {
  const found = reports.flatMap(({ comparisons }) => findMetric(comparisons, metric) ?? []);
  const [first] = found;
  if (!first || found.length < 2) return undefined;
  const values = found.map(({ candidate }) => candidate);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const deviation = Math.sqrt(squares / (values.length - 1));
  return { metric, unit: first.unit, mean, deviation, seeds: values.length };
}

/** `96.20 % ± 0.31 points over 3 seeds`. */
export function formatSpread({ metric, unit, mean, deviation, seeds }: SeedSpread): string {
  const around = unit === 'ratio' ? formatValue(deviation, 'points') : formatNumber(deviation);
  return `${metricName(metric)} ${formatValue(mean, unit)} ± ${around} over ${seeds} seeds`;
}
