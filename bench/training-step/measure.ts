/** @file Our side of training-step.ts: times steps of the real Trainer in this process. */
import { crossEntropy } from '../../packages/core/src/autodiff';
import { Graph, Model } from '../../packages/core/src/graph';
import { GraphBuilder } from '../../packages/core/src/graph/builder';
import { median } from '../../packages/core/src/bench/statistics';
import { buildTransformer, freshWeights, insertDropout, transformerConfig } from '../../packages/core/src/models';
import { nativeRuntime, ortRuntime } from '../../packages/core/src/runtime';
import type { CompileOptions, HostTensor, Precision, Runtime } from '../../packages/core/src/runtime';
import { Random, Trainer, optimizerSchema } from '../../packages/core/src/train';
import type { TrainingBatch } from '../../packages/core/src/train';
import { LoopWatch } from './loop-watch';
import type { LoopFigures } from './loop-watch';

export interface Config {
  readonly name: string;
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly batch: number;
  readonly sequence: number;
  /** Timed steps of one process, and steps before them. */
  readonly steps: number;
  readonly warmup: number;
}

export const CONFIGS: readonly Config[] = [
  { name: 'L2H128', layers: 2, hidden: 128, heads: 2, batch: 32, sequence: 32, steps: 60, warmup: 10 },
  { name: 'L4H512', layers: 4, hidden: 512, heads: 8, batch: 32, sequence: 64, steps: 10, warmup: 3 },
  { name: 'L12H768', layers: 12, hidden: 768, heads: 12, batch: 8, sequence: 128, steps: 4, warmup: 1 },
];

/** What computes the passes. */
export const SIDES = {
  ort: { runtime: ortRuntime, precision: 'fp32' },
  native: { runtime: nativeRuntime, precision: 'fp32' },
  'native bf16': { runtime: nativeRuntime, precision: 'bf16' },
} as const satisfies Record<string, { runtime: Runtime; precision: Precision }>;
export type Side = keyof typeof SIDES;

export interface StepRequest {
  readonly side: Side;
  readonly config: Config;
  readonly dropout: number;
  readonly threads: number;
  readonly spin: boolean;
  readonly recompute: boolean;
  readonly steps: number;
  readonly warmup: number;
}

export interface StepFigures extends LoopFigures {
  readonly ms: readonly number[];
  /** Of which gradient norm and AdamW. */
  readonly optimizerMs: readonly number[];
  /** Building, differentiating and compiling the graph, and one step. */
  readonly firstStepMs: number;
  /** Floating-point operations of one step: 6 a weight outside of embeddings and token, 12 L S H a token in attention. */
  readonly flops: number;
  /** GFLOP/s of ONNX Runtime's [tokens, H] x [H, 4H] product, before and after the steps. */
  readonly ceiling: readonly number[];
  readonly peakBytes: number;
}

const VOCABULARY = 30_522;

/** A batch of random tokens whose rows are half to entirely full. */
function randomBatch(batch: number, sequence: number): TrainingBatch {
  const random = new Random(1);
  const int64 = (dims: readonly number[], value: (index: number) => number): HostTensor => ({
    dtype: 'int64',
    dims,
    data: BigInt64Array.from({ length: dims.reduce((a, b) => a * b) }, (_, i) => BigInt(value(i))),
  });
  const dims = [batch, sequence];
  const lengths = Array.from({ length: batch }, () => sequence / 2 + random.integer(sequence / 2 + 1));
  return {
    inputs: {
      input_ids: int64(dims, () => 1 + random.integer(VOCABULARY - 1)),
      attention_mask: int64(dims, (i) => Number(i % sequence < lengths[Math.floor(i / sequence)])),
      token_type_ids: int64(dims, () => 0),
      labels: int64([batch], () => random.integer(2)),
    },
  };
}

/** GFLOP/s of a matrix product of the size that dominates the step. */
async function matmulRate({ batch, sequence, hidden }: Config, compile: CompileOptions): Promise<number> {
  const build = new GraphBuilder(new Model(new Graph()));
  const [m, k, n] = [batch * sequence, hidden, 4 * hidden];
  build.output(build.op('MatMul', [build.input('a', 'float32', [m, k]), build.input('b', 'float32', [k, n])]), 'c');
  const executable = await ortRuntime.compile(build.model, compile);
  const tensor = (rows: number, columns: number): HostTensor => ({
    dtype: 'float32',
    dims: [rows, columns],
    data: new Float32Array(rows * columns).map((_, i) => Math.sin(i)),
  });
  const feeds = { a: tensor(m, k), b: tensor(k, n) };
  const into = { c: tensor(m, n) };
  const times: number[] = [];
  for (let i = 0; i < 23; i++) {
    const start = performance.now();
    await executable.run(feeds, into);
    if (i >= 3) times.push(performance.now() - start);
  }
  await executable.release();
  return (2 * m * k * n) / median(times) / 1e6;
}

function randomBert(config: Config): Model {
  const transformer = transformerConfig('bert', { ...config, vocabulary: VOCABULARY, maxLength: 512 });
  return buildTransformer(transformer, { task: 'classification', labels: 2 }, freshWeights(1, 0.02)).model;
}

export async function measureStep(request: StepRequest): Promise<StepFigures> {
  const { config, dropout, threads, spin, recompute, steps, warmup } = request;
  const { runtime, precision } = SIDES[request.side];
  const compile = { threads, spin };
  const ceiling = [await matmulRate(config, compile)];
  let backwardDone = 0;
  const optimizerMs: number[] = [];
  const trainer = new Trainer({
    model: randomBert(config),
    loss: (build, outputs) => {
      const labels = build.input('labels', 'int64', [config.batch]);
      return crossEntropy(build, outputs.get('logits')!, labels);
    },
    dropout: (special) => insertDropout(special, { ratio: dropout }),
    optimizer: optimizerSchema.parse({ learningRate: 1e-4 }),
    seed: 1,
    runtime,
    compile: { ...compile, precision },
    recompute,
    hooks: {
      afterBackward: () => (backwardDone = performance.now()),
      afterUpdate: () => optimizerMs.push(performance.now() - backwardDone),
    },
  });
  const batch = randomBatch(config.batch, config.sequence);
  const ms: number[] = [];
  let watch: LoopWatch | undefined;
  for (let i = 0; i < 1 + warmup + steps; i++) {
    if (i === 1 + warmup) watch = new LoopWatch(); // compiling is over
    const start = performance.now();
    await trainer.train([batch]);
    ms.push(performance.now() - start);
  }
  const loop = watch!.end();
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  ceiling.push(await matmulRate(config, compile));
  const [firstStepMs] = ms;
  const tokens = config.batch * config.sequence;
  const weights = trainer.slabs.slots.filter(({ name }) => !name.includes('embeddings'));
  const size = weights.reduce((sum, slot) => sum + slot.size, 0);
  const flops = 6 * size * tokens + 12 * config.layers * config.sequence * config.hidden * tokens;
  await trainer.release();
  return {
    ms: ms.slice(1 + warmup),
    optimizerMs: optimizerMs.slice(1 + warmup),
    firstStepMs,
    flops,
    ceiling,
    peakBytes,
    ...loop,
  };
}
