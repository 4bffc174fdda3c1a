/** @file Test helper: compares gradient rules with central differences on any runtime. */
import { Graph, Model, ONNX_DOMAIN, sizeOf } from '../graph';
import type { Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import type { Executable, HostTensor, Runtime } from '../runtime/runtime';
import { differentiate } from './differentiate';

/** A float32 input of a case: evenly spaced values between the bounds in random order, so that none are equal. */
export interface CaseInput {
  readonly dims: readonly number[];
  readonly low?: number;
  readonly high?: number;
}

/** A piece of graph whose float32 outputs are differentiated with respect to its inputs. */
export interface GradientCase {
  readonly inputs: readonly CaseInput[];
  readonly build: (build: GraphBuilder, inputs: readonly Value[]) => Value | readonly Value[];
  readonly opset?: number;
}

/** Numbers in [0, 1) from a seed. */
function* randomNumbers(seed: number): Generator<number, never> {
  for (let state = seed; ;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

function fill({ dims, low = -1.5, high = 1.5 }: CaseInput, position: number): Float32Array {
  const size = sizeOf(dims);
  const gap = (high - low) / size;
  // Inputs are shifted against each other so that elementwise maxima have no ties either.
  const values = Array.from({ length: size }, (_, i) => low + (i + 0.1 + 0.3 * position) * gap);
  const random = randomNumbers(size + position);
  for (let i = size - 1; i > 0; i--) {
    const j = Math.floor(random.next().value * (i + 1));
    [values[i], values[j]] = [values[j], values[i]];
  }
  return Float32Array.from(values);
}

const newModel = (opset: number): Model => new Model(new Graph(), new Map([[ONNX_DOMAIN, opset]]));

const toList = (values: Value | readonly Value[]): readonly Value[] => ('producer' in values ? [values] : values);

type Feeds = Readonly<Record<string, HostTensor>>;

/** sum over outputs j of weights_j . outputs_j, and its gradient, as two models over the same inputs. */
function models(gradientCase: GradientCase): { forward: Model; backward: Model } {
  const { opset = 21 } = gradientCase;
  const make = (finish: (build: GraphBuilder, inputs: readonly Value[], outputs: readonly Value[]) => void): Model => {
    const build = new GraphBuilder(newModel(opset));
    const inputs = gradientCase.inputs.map(({ dims }, i) => build.input(`x${i}`, 'float32', dims));
    finish(build, inputs, toList(gradientCase.build(build, inputs)));
    return build.model;
  };
  return {
    forward: make((build, _, outputs) =>
      outputs.forEach((output, j) => build.output(build.op('Identity', [output]), `y${j}`)),
    ),
    backward: make((build, inputs, outputs) => {
      const terms = outputs.map((output, j) => {
        const weights = build.input(`w${j}`, 'float32', output.shape ?? []);
        return build.op('ReduceSum', [build.op('Mul', [output, weights])], { keepdims: 0 });
      });
      const loss = terms.reduce((a, b) => build.op('Add', [a, b]));
      const gradients = differentiate(build, loss, inputs);
      inputs.forEach((input, i) => {
        const gradient = gradients.get(input);
        if (!gradient) throw new Error(`The case has no gradient for input ${i}.`);
        build.output(build.op('Identity', [gradient]), `dx${i}`);
      });
    }),
  };
}

const numbersOf = (tensor: HostTensor): number[] => Array.from(tensor.data as Float32Array);

/** d(sum weights . outputs)/dx_i by the 4-point rule (f(x-2h) - 8 f(x-h) + 8 f(x+h) - f(x+2h)) / 12 h. */
async function numericGradient(
  forward: Executable,
  feeds: Feeds,
  weights: Feeds,
  name: string,
  step: number,
): Promise<number[]> {
  const data = feeds[name].data as Float32Array;
  const valueAt = async (position: number, offset: number): Promise<number> => {
    const original = data[position];
    data[position] = original + offset;
    const outputs = await forward.run(feeds);
    data[position] = original;
    return Object.entries(weights).reduce((total, [key, { data: w }]) => {
      const y = numbersOf(outputs[key.replace('w', 'y')]);
      return total + y.reduce((sum, value, i) => sum + value * Number(w[i]), 0);
    }, 0);
  };
  const gradient: number[] = [];
  for (let i = 0; i < data.length; i++) {
    const [a, b, c, d] = [
      await valueAt(i, -2 * step),
      await valueAt(i, -step),
      await valueAt(i, step),
      await valueAt(i, 2 * step),
    ];
    gradient.push((a - 8 * b + 8 * c - d) / (12 * step));
  }
  return gradient;
}

/** |a - b| / max(|a|, |b|) in the Euclidean norm. */
export function relativeError(a: readonly number[], b: readonly number[]): number {
  const norm = (values: readonly number[]): number => Math.hypot(...values);
  return norm(a.map((value, i) => value - b[i])) / Math.max(norm(a), norm(b), 1e-30);
}

export interface Prepared {
  readonly forward: Model;
  readonly backward: Model;
  readonly feeds: Feeds;
  readonly weights: Feeds;
}

/** The models of a case with fixed pseudo-random inputs and output weights. */
export function prepare(gradientCase: GradientCase): Prepared {
  const { forward, backward } = models(gradientCase);
  const feeds: Record<string, HostTensor> = {};
  gradientCase.inputs.forEach((input, i) => {
    feeds[`x${i}`] = { dtype: 'float32', dims: input.dims, data: fill(input, i) };
  });
  const weights: Record<string, HostTensor> = {};
  const random = randomNumbers(7);
  for (const { name, shape } of backward.graph.inputs) {
    if (!name.startsWith('w')) continue;
    const dims = (shape ?? []).map(Number);
    const data = Float32Array.from({ length: sizeOf(dims) }, () => random.next().value + 0.5);
    weights[name] = { dtype: 'float32', dims, data };
  }
  return { forward, backward, feeds, weights };
}

/** The analytic gradients of a case, by input. */
export async function runGradients(runtime: Runtime, gradientCase: GradientCase): Promise<number[][]> {
  const { backward, feeds, weights } = prepare(gradientCase);
  const executable = await runtime.compile(backward, { threads: 1 });
  try {
    const results = await executable.run({ ...feeds, ...weights });
    return gradientCase.inputs.map((_, i) => numbersOf(results[`dx${i}`]));
  } finally {
    await executable.release();
  }
}

export interface GradientComparison {
  /** Relative error of the whole gradient of each input against central differences. */
  readonly errors: readonly number[];
  /** Analytic gradients, by input. */
  readonly gradients: readonly (readonly number[])[];
}

/** Compares the gradient graph of a case with central differences (step 1e-2) of its forward graph. */
export async function checkGradients(runtime: Runtime, gradientCase: GradientCase): Promise<GradientComparison> {
  const gradients = await runGradients(runtime, gradientCase);
  const { forward, feeds, weights } = prepare(gradientCase);
  const executable = await runtime.compile(forward, { threads: 1 });
  try {
    const errors: number[] = [];
    for (const [i, gradient] of gradients.entries()) {
      errors.push(relativeError(gradient, await numericGradient(executable, feeds, weights, `x${i}`, 1e-2)));
    }
    return { errors, gradients };
  } finally {
    await executable.release();
  }
}
