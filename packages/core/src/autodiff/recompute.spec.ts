import { Tensor, sizeOf } from '../graph';
import type { Model, Value } from '../graph';
import { buildTransformer, transformerConfig } from '../models';
import { findAnatomy } from '../models/detect';
import { parameterNames, specialise } from '../passes';
import { ortRuntime } from '../runtime';
import type { HostTensor } from '../runtime';
import { crossEntropy } from './losses';
import { buildTrainingGraph } from './training-graph';
import type { TrainingGraph } from './training-graph';

const LAYERS = 6;

function tinyBert(): Model {
  const config = transformerConfig('bert', {
    layers: LAYERS,
    hidden: 8,
    heads: 2,
    ffn: 32,
    vocabulary: 9,
    maxLength: 8,
  });
  let seed = 0;
  const built = buildTransformer(config, { task: 'classification', labels: 3 }, (_, dims) => {
    seed++;
    return Tensor.float32(
      dims,
      Array.from({ length: sizeOf(dims) }, (_value, i) => Math.sin(seed + i * i)),
    );
  });
  return specialise(built.model, { batch: 2, sequence: 8 });
}

/** The embeddings and the residual stream after every layer. */
function boundariesOf(model: Model): string[] {
  const { embeddings, layers } = findAnatomy(model.graph);
  return [embeddings.output, ...layers.map(({ ffn }) => ffn!.residual.output())].map(({ name }) => name);
}

const trainingGraph = (model: Model, recompute: readonly string[]): TrainingGraph =>
  buildTrainingGraph(model, {
    parameters: parameterNames(model),
    outputs: [],
    recompute,
    loss: (build, outputs) => crossEntropy(build, outputs.get('logits')!, build.int64s([0, 2])),
  });

async function run({ model }: TrainingGraph, source: Model): Promise<Record<string, HostTensor>> {
  const feeds: Record<string, HostTensor> = {};
  for (const { name, shape } of model.graph.inputs) {
    const dims = (shape ?? []).map(Number);
    const data = BigInt64Array.from({ length: 16 }, (_, i) => (name === 'input_ids' ? BigInt(i % 9) : BigInt(i < 12)));
    feeds[name] = source.graph.values.get(name)?.constant ?? { dtype: 'int64', dims, data };
  }
  const executable = await ortRuntime.compile(model, { threads: 1 });
  const results = await executable.run(feeds);
  await executable.release();
  return results;
}

/** The most bytes of node outputs alive at once when nodes run in the order of the graph. */
function peakBytes({ graph }: Model): number {
  const left = new Map<Value, number>();
  const bytes = (value: Value): number => 4 * sizeOf((value.shape ?? []).map(Number));
  let alive = 0;
  let peak = 0;
  for (const node of graph.nodes) {
    for (const output of node.outputs) {
      alive += bytes(output);
      left.set(output, output.uses.size + Number(graph.outputs.includes(output)));
    }
    peak = Math.max(peak, alive);
    for (const input of node.inputs) {
      if (!input?.producer) continue;
      left.set(input, left.get(input)! - 1);
      if (left.get(input) === 0) alive -= bytes(input);
    }
  }
  return peak;
}

describe('recomputation', () => {
  it('changes no gradient and keeps less', async () => {
    const model = tinyBert();
    const [plain, again] = [trainingGraph(model, []), trainingGraph(model, boundariesOf(model))];
    const [expected, found] = [await run(plain, model), await run(again, model)];
    expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort());
    for (const [name, { data }] of Object.entries(expected)) {
      const actual = found[name].data as Float32Array;
      (data as Float32Array).forEach((value, i) => expect(Math.abs(actual[i] - value)).toBeLessThan(1e-5));
    }
    expect(peakBytes(again.model)).toBeLessThan(0.6 * peakBytes(plain.model));
  });

  it('lets the backward pass of a segment read nothing inside it', () => {
    const model = tinyBert();
    const { graph } = trainingGraph(model, boundariesOf(model)).model;
    const copies = graph.nodes.filter(({ name }) => name.startsWith('again.'));
    expect(copies.filter(({ opType }) => opType === 'Softmax')).toHaveLength(LAYERS);
    const forwardSoftmaxes = graph.nodes.filter(
      ({ opType, name }) => opType === 'Softmax' && !name.startsWith('again.'),
    );
    for (const { outputs } of forwardSoftmaxes) {
      expect(outputs[0].consumers.filter(({ name }) => name.startsWith('grad.'))).toEqual([]);
    }
  });

  it('refuses boundaries out of order', () => {
    const model = tinyBert();
    expect(() => trainingGraph(model, boundariesOf(model).toReversed())).toThrow('does not follow from');
  });
});
