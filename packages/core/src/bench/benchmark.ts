/** @file Times a model beside its original over a grid of shapes and thread counts. */
import { throwIfAborted } from '../errors';
import type { Shape } from './inputs';
import type { LoadedModel, TextRow } from './loaded-model';
import { OtherLoad } from './other-load';
import { mean, noise, percentile, speedup } from './statistics';
import type { Estimated } from './statistics';
import type { Subject } from './subject';
import { takeTurns } from './take-turns';
import type { RoundOptions, TimedWork } from './take-turns';

export interface BenchmarkOptions extends RoundOptions {
  readonly batches: readonly number[];
  readonly sequences: readonly number[];
  readonly threads: readonly number[];
  /** Real texts: each batch size is also timed from text to result, tokenization included. */
  readonly texts?: readonly TextRow[];
  readonly seed: number;
  readonly onProgress?: (done: number, total: number, phase: string) => void;
}

/** Latency of one model under one condition; milliseconds of one batch. */
export interface Latency {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  /** Texts a second: rows of a batch over the mean latency. */
  readonly throughput: number;
}

export interface Cell {
  readonly batch: number;
  /** Tokens of each row; `text` for real texts of any length, tokenization included. */
  readonly sequence: number | 'text';
  readonly threads: number;
  readonly rounds: number;
  readonly candidate: Latency;
  readonly baseline: Latency | undefined;
  /** Median baseline over median candidate. */
  readonly speedup: Estimated | undefined;
  /** Why the figures of this cell are not to be trusted. */
  readonly noise: string | undefined;
}

/** Share of the machine that others may use before a cell counts as noisy. */
const OTHER_LOAD = 0.1;
/** Batches of real texts that are timed in turn. */
const TEXT_BATCHES = 16;

/**
 * Times every cell of batches x sequences x threads, candidate and baseline in turns within one process. Both see the
 * same inputs. Compiles each model once per thread count.
 * @throws `benchmark.length`, `benchmark.input`, `cancelled`
 */
export async function benchmark(
  candidate: Subject,
  baseline: Subject | undefined,
  options: BenchmarkOptions,
): Promise<Cell[]> {
  const subjects = baseline ? [candidate, baseline] : [candidate];
  const shapes: (Shape | TextShape)[] = [
    ...options.batches.flatMap((batch) => options.sequences.map((sequence) => ({ batch, sequence }))),
    ...(options.texts ? options.batches.map((batch): TextShape => ({ batch, sequence: 'text' })) : []),
  ];
  const total = shapes.length * options.threads.length;
  const cells: Cell[] = [];
  for (const threads of options.threads) {
    const models: LoadedModel[] = [];
    try {
      for (const subject of subjects) models.push(await subject.load(threads));
      for (const shape of shapes) {
        throwIfAborted(options.signal);
        options.onProgress?.(cells.length, total, describeCell({ ...shape, threads }));
        const works = models.map((model) => timedWork(model, shape, options));
        cells.push({ ...shape, threads, ...(await measure(works, shape, options)) });
      }
    } finally {
      for (const model of models) await model.release();
    }
  }
  return cells;
}

interface TextShape {
  readonly batch: number;
  readonly sequence: 'text';
}

/** A cell's condition in words: `batch 8, 128 tokens, 2 threads`. */
export const describeCell = ({ batch, sequence, threads }: Pick<Cell, 'batch' | 'sequence' | 'threads'>): string =>
  `batch ${batch}, ${sequence === 'text' ? 'real texts' : `${sequence} tokens`}, ${threads} thread${threads === 1 ? '' : 's'}`;

/** What one model does in one round. */
function timedWork(model: LoadedModel, shape: Shape | TextShape, { texts = [], seed }: BenchmarkOptions): TimedWork {
  const { batch, sequence } = shape;
  return sequence === 'text' ? model.texts(cutBatches(texts, batch)) : model.synthetic({ batch, sequence }, seed);
}

/** A few batches of exactly `size` rows, starting over when the texts run out. */
function cutBatches(texts: readonly TextRow[], size: number): TextRow[][] {
  const count = Math.min(TEXT_BATCHES, Math.ceil(texts.length / size));
  return Array.from({ length: count }, (_, batch) =>
    Array.from({ length: size }, (_, row) => texts[(batch * size + row) % texts.length]),
  );
}

async function measure(
  works: readonly TimedWork[],
  { batch, sequence }: Shape | TextShape,
  options: BenchmarkOptions,
): Promise<Pick<Cell, 'rounds' | 'candidate' | 'baseline' | 'speedup' | 'noise'>> {
  const load = new OtherLoad();
  const [candidate, baseline] = await takeTurns(works, options);
  const others = load.share();
  // Real texts differ in length, so their timings spread on any machine.
  const unsteady = sequence === 'text' ? undefined : noise(baseline ?? candidate);
  return {
    rounds: candidate.length,
    candidate: latency(candidate, batch),
    baseline: baseline && latency(baseline, batch),
    speedup: baseline && speedup(baseline, candidate),
    noise: others > OTHER_LOAD ? `other processes used ${Math.round(others * 100)} % of the machine` : unsteady,
  };
}

const latency = (samples: readonly number[], batch: number): Latency => ({
  p50: percentile(samples, 50),
  p95: percentile(samples, 95),
  p99: percentile(samples, 99),
  throughput: (1000 * batch) / mean(samples),
});
