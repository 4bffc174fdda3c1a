/** @file Benchmark results as measurements. */
import type { Cell, Latency } from '../bench/benchmark';
import type { Shape } from '../bench/inputs';
import type { Serving } from '../runtime';
import type { MemoryFigures } from '../bench/memory';
import type { SizeFigures } from '../bench/size';
import type { Environment, Measurement } from '../report/measurement';
import type { EnergyFigures } from './benchmark-energy';

/** What is measured of a model by itself. */
export interface MeasuredModel {
  readonly subject: 'candidate' | 'baseline';
  /** What ran it. */
  readonly serving: Serving;
  readonly size: SizeFigures;
  readonly memory: (MemoryFigures & { readonly shape: Shape }) | undefined;
  readonly parameters: number;
  readonly flops: { readonly value: number; readonly shape: Shape } | undefined;
}

/** Metric names of a cell: real texts have names of their own, so that goals and means keep to equal shapes. */
const NAMES = {
  tokens: { p50: 'latency.p50', p95: 'latency.p95', p99: 'latency.p99', throughput: 'throughput', speedup: 'speedup' },
  text: {
    p50: 'latency.endToEnd.p50',
    p95: 'latency.endToEnd.p95',
    p99: 'latency.endToEnd.p99',
    throughput: 'throughput.endToEnd',
    speedup: 'speedup.endToEnd',
  },
} as const;

export function benchmarkMeasurements(
  cells: readonly Cell[],
  models: readonly MeasuredModel[],
  energy: EnergyFigures,
  environment: Environment,
): Measurement[] {
  return [
    ...models.flatMap((model) => modelMeasurements(model, environment)),
    ...energyMeasurements(energy, environment),
    ...cells.flatMap((cell) => cellMeasurements(cell, environment)),
  ];
}

function modelMeasurements(
  { subject, size, memory, parameters, flops }: MeasuredModel,
  environment: Environment,
): Measurement[] {
  const bytes = (metric: string, value: number): Measurement => ({
    metric,
    value,
    unit: 'bytes',
    subject,
    context: {},
  });
  return [
    bytes('bytes.model', size.model),
    bytes('bytes.bundle', size.total),
    ...(size.compressed === undefined ? [] : [bytes('bytes.gzip', size.compressed)]),
    { metric: 'parameters', value: parameters, unit: 'count', subject, context: {} },
    ...(flops ? [{ metric: 'flops', value: flops.value, unit: 'flops', subject, context: { ...flops.shape } }] : []),
    ...(memory
      ? [
          { ...bytes('memory.peak', memory.peakBytes), context: { ...memory.shape }, environment },
          { metric: 'latency.load', value: memory.loadMilliseconds, unit: 'ms', subject, context: {}, environment },
        ]
      : []),
  ];
}

/** Of 1,000 texts, which keeps figures readable. */
const energyMeasurements = (
  { by, batch, sequence, threads, models }: EnergyFigures,
  environment: Environment,
): Measurement[] =>
  models.flatMap(({ subject, joules, grams }) => {
    const where = { subject, context: { batch, sequence, threads, by }, environment: { ...environment, threads } };
    return [
      { metric: 'energy', value: 1000 * joules, unit: 'J', ...where },
      { metric: 'carbon', value: 1000 * grams, unit: 'g CO2e', ...where },
    ];
  });

function cellMeasurements(cell: Cell, environment: Environment): Measurement[] {
  const { batch, sequence, threads } = cell;
  const context = sequence === 'text' ? { batch, threads } : { batch, sequence, threads };
  const names = NAMES[sequence === 'text' ? 'text' : 'tokens'];
  const where = { context, environment: { ...environment, threads } };
  const latencies = (subject: 'candidate' | 'baseline', { throughput, ...percentiles }: Latency): Measurement[] => [
    ...(['p50', 'p95', 'p99'] as const).map((key) => ({
      metric: names[key],
      value: percentiles[key],
      unit: 'ms',
      subject,
      ...where,
    })),
    { metric: names.throughput, value: throughput, unit: 'texts/s', subject, ...where },
  ];
  const { baseline, speedup } = cell;
  return [
    ...latencies('candidate', cell.candidate),
    ...(baseline ? latencies('baseline', baseline) : []),
    ...(speedup
      ? [
          {
            metric: names.speedup,
            value: speedup.value,
            unit: 'times',
            subject: 'comparison' as const,
            interval: speedup.interval,
            ...where,
          },
        ]
      : []),
  ];
}
