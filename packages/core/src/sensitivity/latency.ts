/** @file What treating a group does to the latency of the whole model: measured, or told from operations. */
import { speedup } from '../bench/statistics';
import type { Estimated } from '../bench/statistics';
import { syntheticInputs } from '../bench/inputs';
import type { Feeds, Shape } from '../bench/inputs';
import { takeTurns } from '../bench/take-turns';
import type { Manifest } from '../bundle';
import { ModelpressError } from '../errors';
import type { Model } from '../graph';
import { costOf } from '../graph/cost';
import { specialise } from '../passes';
import { ortRuntime } from '../runtime';
import type { Executable } from '../runtime';

export interface LatencyOptions {
  readonly manifest: Manifest;
  readonly vocabulary: number;
  readonly shape: Shape;
  /** Time for each comparison. */
  readonly seconds: number;
  readonly threads: number;
  readonly seed: number;
  readonly signal: AbortSignal;
}

/** The original, compiled once and timed in turns with each version. */
export class Stopwatch {
  private constructor(
    private readonly original: Executable,
    private readonly feeds: Feeds,
    private readonly options: LatencyOptions,
  ) {}

  static async start(model: Model, options: LatencyOptions): Promise<Stopwatch> {
    const { manifest, vocabulary, shape, seed, threads } = options;
    const feeds = syntheticInputs(manifest, vocabulary, shape, seed);
    return new Stopwatch(await ortRuntime.compile(model, { threads }), feeds, options);
  }

  /** How many times faster the version is than the original. */
  async compare(version: Model): Promise<Estimated> {
    const { threads, seconds, signal } = this.options;
    const executable = await ortRuntime.compile(version, { threads });
    try {
      const works = [this.original, executable].map((model) => () => model.run(this.feeds));
      const rounds = { warmup: 2, minRounds: 5, maxRounds: 2000, seconds, signal };
      const [before, after] = await takeTurns(works, rounds);
      return speedup(before, after);
    } finally {
      await executable.release();
    }
  }

  stop(): Promise<void> {
    return this.original.release();
  }
}

/** Share of a pass's operations in products with each weight; empty for a model whose operations cannot be counted. */
export function operationShares(model: Model, { batch, sequence }: Shape): ReadonlyMap<string, number> {
  const shapes = model.graph.inputs.map(({ name }) => [name, [batch, sequence]] as const);
  const shares = new Map<string, number>();
  try {
    const { nodes, flops } = costOf(specialise(model, Object.fromEntries(shapes)));
    for (const { node, flops: own } of nodes)
      for (const value of node.inputs)
        if (value?.constant) shares.set(value.name, (shares.get(value.name) ?? 0) + own / flops);
    return shares;
  } catch (error) {
    if (error instanceof ModelpressError && error.kind === 'unsupported') return new Map();
    throw error;
  }
}
