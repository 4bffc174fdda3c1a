/** @file Which part of what was removed became latency: times by kind of work of two models, measured in turns. */
import { join } from 'node:path';
import { MODEL_FILE } from '../bundle';
import type { Manifest } from '../bundle';
import { syntheticInputs } from '../bench/inputs';
import { throwIfAborted } from '../errors';
import { costOf } from '../graph/cost';
import { readModelFile } from '../onnx';
import { specialise } from '../passes';
import { ProfiledModel } from '../runtime/ort/profile';
import type { NodeTime } from '../runtime/ort/profile';

/** Kinds of work in a forward pass. `between` is what no operator accounts for: dispatch, copies in and out. */
export const WORK = [
  'linear',
  'attention',
  'softmax',
  'normalisation',
  'activation',
  'additions',
  'layout',
  'lookup',
  'other',
  'between',
] as const;
export type Work = (typeof WORK)[number];

export interface TimedModel {
  readonly folder: string;
  readonly manifest: Manifest;
}

/** Of the two models, in the order given. */
export interface TimeByWork {
  readonly batch: number;
  readonly sequence: number;
  readonly flops: readonly [number, number];
  /** Milliseconds of a pass by kind of work. */
  readonly milliseconds: Readonly<Record<Work, readonly [number, number]>>;
  readonly total: readonly [number, number];
}

const BATCH = 8;
const SEQUENCE = 128;
const WARM_UP = 2;
const MIN_ROUNDS = 5;
const MAX_ROUNDS = 30;
const SECONDS = 3;

/** Times both models under the profiler of ONNX Runtime, at 8 x 128 tokens or as many as they take. */
export async function timeByWork(
  before: TimedModel,
  after: TimedModel,
  { threads, signal }: { readonly threads: number; readonly signal: AbortSignal },
): Promise<TimeByWork> {
  const sequence = Math.min(SEQUENCE, after.manifest.maxLength);
  const models = [before, after];
  const vocabulary = Math.min(...models.map(({ manifest }) => manifest.structure?.vocabulary ?? 1));
  const feeds = models.map(({ manifest }) => syntheticInputs(manifest, vocabulary, { batch: BATCH, sequence }, 0));
  const paths = models.map(({ folder }) => join(folder, MODEL_FILE));
  const profiled = await Promise.all(paths.map((path) => ProfiledModel.open(path, threads)));
  const walls: number[][] = [[], []];
  let times: NodeTime[][] = [];
  try {
    const started = performance.now();
    for (let round = 0; round < WARM_UP + MAX_ROUNDS; round++) {
      if (round >= WARM_UP + MIN_ROUNDS && performance.now() - started > SECONDS * 1000) break;
      throwIfAborted(signal);
      for (const [m, model] of profiled.entries()) {
        const start = performance.now();
        await model.run(feeds[m]);
        walls[m].push(performance.now() - start);
      }
    }
  } finally {
    times = await Promise.all(profiled.map((model) => model.finish()));
  }
  const [old, now] = walls.map((wall, m) => byWork(wall, times[m]));
  const flops = await Promise.all(paths.map((path) => flopsOf(path, sequence)));
  const pair = (work: Work): readonly [number, number] => [old[work], now[work]];
  const milliseconds = Object.fromEntries(WORK.map((work) => [work, pair(work)])) as TimeByWork['milliseconds'];
  const sum = (part: Record<Work, number>): number => WORK.reduce((total, work) => total + part[work], 0);
  return { batch: BATCH, sequence, flops: [flops[0], flops[1]], milliseconds, total: [sum(old), sum(now)] };
}

/** Mean milliseconds of a pass by work; the first passes do not count. */
function byWork(walls: readonly number[], times: readonly NodeTime[]): Record<Work, number> {
  const passes = walls.length - WARM_UP;
  const perPass = times.length / walls.length;
  const work = Object.fromEntries(WORK.map((name) => [name, 0])) as Record<Work, number>;
  for (const time of times.slice(WARM_UP * perPass)) work[workOf(time)] += time.microseconds / 1000 / passes;
  const known = WORK.reduce((total, name) => total + work[name], 0);
  const wall = walls.slice(WARM_UP).reduce((total, ms) => total + ms, 0) / passes;
  return { ...work, between: Math.max(0, wall - known) };
}

/** Operators by the work they do, fused ones included. */
function workOf({ op, inputs }: NodeTime): Work {
  if (/MatMul|Gemm|Einsum/.test(op)) return inputs[1]?.length === 4 || inputs[1]?.length === 3 ? 'attention' : 'linear';
  if (/Softmax/.test(op)) return 'softmax';
  if (/LayerNorm|ReduceMean/.test(op)) return 'normalisation';
  if (/Gelu|Relu|Erf|Tanh|Sigmoid/.test(op)) return 'activation';
  if (/^(Add|Sum|Sub|Mul|Div)$/.test(op)) return 'additions';
  if (/Transpose|Reshape|Split|Concat|Squeeze|Expand|Slice|Pad/.test(op)) return 'layout';
  if (/Gather/.test(op)) return inputs[0]?.length === 2 ? 'lookup' : 'layout';
  return 'other';
}

async function flopsOf(path: string, sequence: number): Promise<number> {
  const model = await readModelFile(path);
  const shapes = model.graph.inputs.map(({ name }) => [name, [BATCH, sequence]] as const);
  return costOf(specialise(model, Object.fromEntries(shapes))).flops;
}
