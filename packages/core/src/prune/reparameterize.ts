/**
 * @file Trained scores as graph rewrites: the weight W that a MatMul reads becomes W_eff = (mask + st(S)) * W', where
 * st(S) is zero with derivative one, so that scores get the straight-through gradient dL/dS = dL/dW_eff * W' while the
 * forward pass sees the mask alone. Masks are inputs, made anew from the scores after every step of the pruning phase.
 *
 * - movement (Sanh et al. 2020): W' = W, S trained freely.
 * - pst (Li et al. 2022): W' = W + U V with W frozen, S = alpha1 A B + alpha2 (R + C); only U, V, A, B, R, C train.
 * - l0 (Louizos et al. 2018): W_eff = mask * z * W with hard-concrete gates
 *     z = min(1, max(0, sigmoid((noise + logAlpha) / beta) (zeta - gamma) + gamma)),
 *   the expected share of open gates, mean sigmoid(logAlpha - beta log(-gamma / zeta)), added to the loss.
 */
import type { ComponentEntry } from '../bundle/manifest';
import { Tensor } from '../graph';
import type { Model, Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { Random } from '../train/random';
import type { PruneConfig, TrainedImportance } from './config';
import { pstScores } from './scores';

const BETA = 2 / 3;
const GAMMA = -0.1;
const ZETA = 1.1;
/** Gates start open: sigmoid(2.2) stretched is 0.98. */
const START_LOG_ALPHA = 2.2;

/** How the scores of one matrix are read, and what its weights have become. */
export interface ScoredWeight {
  readonly name: string;
  readonly layer: number;
  readonly rows: number;
  readonly columns: number;
  /** Inputs that are fed in every pass: the mask, and the noise of l0. */
  readonly maskInput: string;
  readonly noiseInput?: string;
  /** Parameters that train. */
  readonly parameters: readonly string[];
  /** Present scores; `read` gives a parameter (or frozen weight) by name. */
  scores(read: (name: string) => Float32Array): Float32Array;
  /** Present weights before the mask. */
  weights(read: (name: string) => Float32Array): Float32Array;
}

/** Rewrites the model in place for every entry. */
export function reparameterize(
  model: Model,
  entries: readonly ComponentEntry[],
  importance: TrainedImportance,
  config: PruneConfig['pst'],
  seed: number,
): ScoredWeight[] {
  const build = new GraphBuilder(model);
  const random = new Random(seed);
  const scored = entries.map((entry): ScoredWeight => {
    const weight = model.graph.value(entry.weight);
    const [rows, columns] = weight.shape as [number, number];
    const readers = [...weight.uses];
    const maskInput = `${entry.weight}.mask`;
    const site: Site = {
      build,
      weight,
      rows,
      columns,
      random,
      mask: build.input(maskInput, 'float32', [rows, columns]),
    };
    const { effective, ...parts } = build.scope(entry.weight, () => REWRITES[importance](site, config));
    for (const { node, index } of readers) model.graph.setInput(node, index, effective);
    return { name: entry.weight, layer: entry.layer ?? -1, rows, columns, maskInput, ...parts };
  });
  model.graph.sort();
  return scored;
}

/** The penalty of l0 on the values of a training graph: penalty * mean over weights of P(gate open). */
export function l0Penalty(build: GraphBuilder, scored: readonly ScoredWeight[], penalty: number): Value {
  const total = scored.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  const shift = BETA * Math.log(-GAMMA / ZETA);
  const open = scored.map(({ name }) => {
    const logAlpha = build.graph.value(`${name}.log_alpha`);
    return build.op('ReduceSum', [build.op('Sigmoid', [build.op('Sub', [logAlpha, build.scalar(shift)])])], {
      keepdims: 0,
    });
  });
  const sum = open.reduce((left, right) => build.op('Add', [left, right]));
  return build.op('Mul', [sum, build.scalar(penalty / total)]);
}

interface Site {
  readonly build: GraphBuilder;
  readonly weight: Value;
  readonly rows: number;
  readonly columns: number;
  readonly random: Random;
  readonly mask: Value;
}
type Rewrite = (
  site: Site,
  config: PruneConfig['pst'],
) => { effective: Value } & Pick<ScoredWeight, 'parameters' | 'scores' | 'weights' | 'noiseInput'>;

const REWRITES: Readonly<Record<TrainedImportance, Rewrite>> = {
  movement({ build, weight, rows, columns, mask }) {
    const name = `${weight.name}.score`;
    const scores = build.parameter(name, Tensor.float32([rows, columns], new Float32Array(rows * columns)));
    return {
      effective: build.op('Mul', [straightThrough(build, mask, scores), weight]),
      parameters: [weight.name, name],
      scores: (read) => read(name),
      weights: (read) => read(weight.name),
    };
  },
  pst({ build, weight, rows, columns, random, mask }, { rank, updateRank, alpha1, alpha2 }) {
    const names = Object.fromEntries(PST_PARTS.map((part) => [part, `${weight.name}.pst_${part}`])) as Record<
      PstPart,
      string
    >;
    const gaussian = (size: number): Float32Array => Float32Array.from({ length: size }, () => random.normal());
    const add = (part: PstPart, dims: readonly number[], values: Float32Array): Value =>
      build.parameter(names[part], Tensor.float32(dims, values));
    const u = add('u', [rows, updateRank], gaussian(rows * updateRank));
    const v = add('v', [updateRank, columns], new Float32Array(updateRank * columns));
    const a = add('a', [rows, rank], gaussian(rows * rank));
    const b = add('b', [rank, columns], new Float32Array(rank * columns));
    const r = add('r', [rows, 1], new Float32Array(rows));
    const c = add('c', [1, columns], new Float32Array(columns));
    const updated = build.op('Add', [weight, build.op('MatMul', [u, v])]);
    const lowRank = build.op('Mul', [build.op('MatMul', [a, b]), build.scalar(alpha1)]);
    const structured = build.op('Mul', [build.op('Add', [r, c]), build.scalar(alpha2)]);
    const scores = build.op('Add', [lowRank, structured]);
    const weights: ScoredWeight['weights'] = (read) => {
      const sum = Float32Array.from(read(weight.name));
      addProduct(sum, read(names.u), read(names.v), updateRank, columns);
      return sum;
    };
    return {
      effective: build.op('Mul', [straightThrough(build, mask, scores), updated]),
      parameters: Object.values(names),
      scores: (read) =>
        pstScores(
          weights(read),
          { a: read(names.a), b: read(names.b), rank, rows: read(names.r), columns: read(names.c) },
          alpha1,
          alpha2,
        ),
      weights,
    };
  },
  l0({ build, weight, rows, columns, mask }) {
    const name = `${weight.name}.log_alpha`;
    const noiseInput = `${weight.name}.noise`;
    const start = new Float32Array(rows * columns).fill(START_LOG_ALPHA);
    const logAlpha = build.parameter(name, Tensor.float32([rows, columns], start));
    const noise = build.input(noiseInput, 'float32', [rows, columns]);
    const concrete = build.op('Sigmoid', [
      build.op('Mul', [build.op('Add', [noise, logAlpha]), build.scalar(1 / BETA)]),
    ]);
    const stretched = build.op('Add', [build.op('Mul', [concrete, build.scalar(ZETA - GAMMA)]), build.scalar(GAMMA)]);
    const gate = build.op('Clip', [stretched, build.scalar(0), build.scalar(1)]);
    return {
      effective: build.op('Mul', [build.op('Mul', [gate, mask]), weight]),
      parameters: [weight.name, name],
      noiseInput,
      scores: (read) => read(name),
      weights: (read) => {
        const alphas = read(name);
        return read(weight.name).map((w, i) => w * meanGate(alphas[i]));
      },
    };
  },
};

const PST_PARTS = ['u', 'v', 'a', 'b', 'r', 'c'] as const;
type PstPart = (typeof PST_PARTS)[number];

/** The gate without noise, as it is used after training. */
export const meanGate = (logAlpha: number): number =>
  Math.min(1, Math.max(0, (1 / (1 + Math.exp(-logAlpha / BETA))) * (ZETA - GAMMA) + GAMMA));

/** mask + st(S). Round has the straight-through derivative 1, and the tiny factor makes it round to zero. */
function straightThrough(build: GraphBuilder, mask: Value, scores: Value): Value {
  const tiny = build.op('Round', [build.op('Mul', [scores, build.scalar(1e-12)])]);
  return build.op('Add', [mask, build.op('Mul', [tiny, build.scalar(1e12)])]);
}

/** target [rows, columns] += u [rows, rank] v [rank, columns] */
function addProduct(target: Float32Array, u: Float32Array, v: Float32Array, rank: number, columns: number): void {
  for (let row = 0; row * columns < target.length; row++) {
    for (let k = 0; k < rank; k++) {
      const factor = u[row * rank + k];
      for (let j = 0; j < columns; j++) target[row * columns + j] += factor * v[k * columns + j];
    }
  }
}
