/** @file What the benchmark stage tells people. */
import { describeCell } from '../bench/benchmark';
import type { Cell } from '../bench/benchmark';
import { int8Warning } from '../bench/environment';
import { formatBytes, formatNumber, formatValue } from '../report/format';
import type { Environment, ReportSection } from '../report/measurement';
import type { EnergyFigures } from './benchmark-energy';
import type { MeasuredModel } from './benchmark-measurements';

export function benchmarkSections(
  cells: readonly Cell[],
  models: readonly MeasuredModel[],
  energy: EnergyFigures,
  environment: Environment,
): ReportSection[] {
  const synthetic = cells.filter(({ sequence }) => sequence !== 'text');
  const real = cells.filter(({ sequence }) => sequence === 'text');
  return [
    latencyTable(
      'Latency',
      synthetic,
      'Random tokens without padding. Milliseconds of one batch; speed-up is the ratio of medians with its 95 % interval.',
    ),
    ...(real.length > 0
      ? [latencyTable('Latency from text to result', real, 'Texts of the data set, tokenization included.')]
      : []),
    sizeTable(models),
    energyTable(energy),
    { kind: 'text', title: 'Machine', text: describe(environment) },
  ];
}

function latencyTable(title: string, cells: readonly Cell[], note: string): ReportSection {
  return {
    kind: 'table',
    title,
    columns: ['Batch', 'Tokens', 'Threads', 'p50', 'p95', 'p99', 'Texts/s', 'Original p50', 'Speed-up', 'Rounds'],
    rows: cells.map(({ batch, sequence, threads, candidate, baseline, speedup, rounds }) => [
      batch,
      sequence === 'text' ? 'as they are' : sequence,
      threads,
      `${formatNumber(candidate.p50)} ms`,
      `${formatNumber(candidate.p95)} ms`,
      `${formatNumber(candidate.p99)} ms`,
      formatNumber(candidate.throughput),
      baseline ? `${formatNumber(baseline.p50)} ms` : null,
      speedup ? `${speedup.value.toFixed(2)}× (${speedup.interval.map((x) => x.toFixed(2)).join('–')})` : null,
      rounds,
    ]),
    note,
  };
}

const RUNTIME_NAMES = { ort: 'ONNX Runtime', native: 'native' } as const;
const NAMES = { candidate: 'Result', baseline: 'Original' } as const;

const sizeTable = (models: readonly MeasuredModel[]): ReportSection => ({
  kind: 'table',
  title: 'Size and memory',
  columns: ['Model', 'Runtime', 'On disk', 'After gzip', 'Parameters', 'FLOPs', 'Peak memory', 'Time to load'],
  rows: models.map(({ subject, serving: { runtime, precision }, size, memory, parameters, flops }) => [
    NAMES[subject],
    `${RUNTIME_NAMES[runtime]}${precision === 'bf16' ? ', bf16' : ''}`,
    formatBytes(size.model),
    size.compressed === undefined ? null : formatBytes(size.compressed),
    formatValue(parameters, 'count'),
    flops ? formatValue(flops.value, 'flops') : null,
    memory ? formatBytes(memory.peakBytes) : null,
    memory ? `${formatNumber(memory.loadMilliseconds)} ms` : null,
  ]),
  note: 'Peak memory is that of a fresh Node process that loads the model and runs the largest shape. FLOPs are those of one text of the longest length.',
});

const energyTable = ({ by, assumptions, models, ...shape }: EnergyFigures): ReportSection => ({
  kind: 'table',
  title: 'Energy and carbon of 1,000 texts',
  columns: ['Model', 'Energy', 'Carbon'],
  rows: models.map(({ subject, joules, grams }) => [
    NAMES[subject],
    `${formatNumber(1000 * joules)} J`,
    `${formatNumber(1000 * grams)} g CO2e`,
  ]),
  note: `At ${describeCell(shape)}. ${
    by === 'counters'
      ? 'Energy was read from the counters of the processor (RAPL), idle power and other load included'
      : `Energy is an estimate: ${assumptions.wattsPerCore} W for each busy core, because the counters of the processor (RAPL) cannot be read here`
  }. Carbon at ${assumptions.gramsPerKwh} g a kilowatt-hour.`,
});

const describe = ({ cpu, cores, cpuFlags, memoryBytes, os, node, runtime }: Environment): string =>
  `${cpu}, ${cores} cores (${cpuFlags.join(' ') || 'instruction sets unknown'}), ${formatBytes(memoryBytes)} of memory, ${os}, Node ${node}, ${runtime}.`;

/** Cells that other load disturbed, cells in which the result is not faster, and what this CPU lacks. */
export function benchmarkWarnings(cells: readonly Cell[], { cpuFlags }: Environment): string[] {
  const noisy = cells.filter(({ noise }) => noise !== undefined);
  const slower = cells.filter(({ speedup }) => speedup !== undefined && speedup.interval[1] < 1);
  const missing = int8Warning(cpuFlags);
  return [
    ...noiseWarnings(noisy, cells.length),
    ...slower.map((cell) => `The result is slower than the original at ${describeCell(cell)}.`),
    ...(missing && slower.length > 0 ? [missing] : []),
  ];
}

/** More than this many say the same. */
const SINGLE_WARNINGS = 2;

function noiseWarnings(noisy: readonly Cell[], total: number): string[] {
  const said = noisy.map((cell) => `at ${describeCell(cell)}: ${cell.noise}`);
  if (noisy.length <= SINGLE_WARNINGS) return said.map((where) => `The machine was noisy ${where}.`);
  return [
    `The machine was noisy at ${noisy.length} of ${total} conditions, for example ${said[0]}. Repeat it when it is quiet.`,
  ];
}
