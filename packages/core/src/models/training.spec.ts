import { differentiate } from '../autodiff';
import { sizeOf, Tensor } from '../graph';
import type { Model } from '../graph';
import { clone } from '../graph/clone';
import { GraphBuilder } from '../graph/builder';
import { parameterNames, simplify, specialise } from '../passes';
import { Random } from '../train/random';
import { buildBilstm } from './bilstm';
import { headFor, transformerConfig } from './config';
import type { LayerSizes } from './config';
import { runModel, tokenBatch } from './testing';
import { buildTextCnn } from './textcnn';
import { buildTransformer } from './transformer';
import { unrollLstm } from './unroll-lstm';
import { freshWeights } from './weights';
import type { WeightSource } from './weights';

const BATCH = tokenBatch(3, 6, 40);

/** Biases too are random: with zeros, relu would stand on its kink. */
const weights: WeightSource = (name, dims, role) => freshWeights(4, 0.4)(name, dims, role === 'bias' ? 'matrix' : role);

const sizes = (queryDims: number[], valueDims: number[], ffn: number): LayerSizes => ({
  heads: queryDims.length,
  queryDims,
  valueDims,
  ffn,
});

const transformer = (
  architecture: 'bert' | 'roberta' | 'distilbert' | 'gpt2',
  task: 'classification' | 'masked-lm' | 'causal-lm' | 'embedding',
  layers?: LayerSizes[],
): Model => {
  const config = transformerConfig(architecture, {
    layers: 2,
    hidden: 8,
    heads: 2,
    vocabulary: 40,
    maxLength: 9,
    padId: 0,
  });
  return buildTransformer({ ...config, layers: layers ?? config.layers }, headFor(task, 3, true), weights).model;
};

const MODELS: Readonly<Record<string, () => Model>> = {
  'bert classification': () => transformer('bert', 'classification'),
  'bert masked-lm': () => transformer('bert', 'masked-lm'),
  'roberta classification': () => transformer('roberta', 'classification'),
  'distilbert embedding': () => transformer('distilbert', 'embedding'),
  'gpt2 classification': () => transformer('gpt2', 'classification'),
  'gpt2 causal-lm': () => transformer('gpt2', 'causal-lm'),
  'bert with heads of many sizes': () =>
    transformer('bert', 'classification', [sizes([4, 4, 0], [4, 4, 3], 5), sizes([0], [6], 0)]),
  'gpt2 with heads of many sizes': () => transformer('gpt2', 'causal-lm', [sizes([3, 0], [2, 5], 7), sizes([], [], 4)]),
  textcnn: () => buildTextCnn({ vocabulary: 40, embedding: 5, kernels: [2, 3], filters: 4, outputs: 3 }, weights).model,
  bilstm: () =>
    buildBilstm({ vocabulary: 40, embedding: 5, hidden: 4, layers: 2, dense: 6, outputs: 3 }, weights).model,
};

/** Loss = sum of outputs times fixed random numbers; gradients of all weights become outputs too. */
function withGradients(model: Model, parameters: readonly string[]): { model: Model; names: readonly string[] } {
  const build = new GraphBuilder(model);
  const [output] = model.graph.outputs;
  const random = new Random(9);
  const dims = output.shape as number[];
  const factors = Tensor.float32(
    dims,
    Float32Array.from({ length: sizeOf(dims) }, () => random.normal()),
  );
  const product = build.op('Mul', [output, build.constant(factors)]);
  const loss = build.op('ReduceSum', [product], { keepdims: 0 });
  const wanted = parameters.map((name) => model.graph.value(name));
  const gradients = differentiate(build, loss, wanted);
  model.graph.outputs.splice(0, 1);
  build.output(loss, 'loss');
  for (const [value, gradient] of gradients) build.output(gradient, `grad.${value.name}`);
  return { model, names: [...gradients.keys()].map(({ name }) => name) };
}

/** A copy whose named weights are moved by `step` along the direction. */
function moved(model: Model, direction: ReadonlyMap<string, Float32Array>, step: number): Model {
  const copy = clone(model);
  for (const [name, along] of direction) {
    const value = copy.graph.value(name);
    const data = value.constant!.data as Float32Array;
    value.constant = Tensor.float32(
      value.constant!.dims,
      data.map((x, i) => x + step * along[i]),
    );
  }
  return copy;
}

describe('every builder trains', () => {
  it.each(Object.keys(MODELS))('%s: the gradient along a random direction is the slope of the loss', async (name) => {
    const original = MODELS[name]();
    const special = specialise(original, { batch: 3, sequence: 6 });
    unrollLstm(special);
    simplify(special);
    const { model, names } = withGradients(special, parameterNames(original));
    const outputs = await runModel(model, BATCH);
    const random = new Random(1);
    const direction = new Map(
      names.map((weight) => [weight, outputs[`grad.${weight}`].map(() => random.normal())] as const),
    );
    const slope = names.reduce(
      (sum, weight) => outputs[`grad.${weight}`].reduce((s, g, i) => s + g * direction.get(weight)![i], sum),
      0,
    );
    const lossAt = async (step: number): Promise<number> =>
      (await runModel(moved(model, direction, step), BATCH))['loss'][0];
    const step = 5e-4;
    const measured = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
    expect(Math.abs(measured - slope)).toBeLessThan(0.01 * Math.abs(slope) + 0.02);
    expect(Math.abs(slope)).toBeGreaterThan(0.1);
    expect([...names].sort()).toEqual(parameterNames(original).sort());
  });
});
