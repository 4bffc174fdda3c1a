/** @file Losses and gradients of whole models against PyTorch. */
import { readFileSync } from 'node:fs';
import { describeWithShared, sharedPath } from '../../../../tools/shared-fixtures';
import type { Model, Tensor } from '../graph';
import { SafetensorsFile, importHuggingFace } from '../models';
import { readModelFile } from '../onnx';
import { parameterNames, specialise } from '../passes';
import { ortRuntime } from '../runtime';
import type { HostTensor, Runtime } from '../runtime';
import { tfjsRuntime } from '../runtime/tfjs';
import { crossEntropy } from './losses';
import { buildTrainingGraph } from './training-graph';

interface GradsJson {
  readonly batches: readonly Readonly<Record<string, readonly number[] | readonly (readonly number[])[]>>[];
  readonly batch0: { readonly loss_fp32: number };
}

/** Element (i, j) of a matrix, or of its transpose; rank 1 is a row. */
function elements(tensor: Pick<Tensor, 'dims'> & { data: ArrayLike<number> }, transposed: boolean): number[] {
  const values = Array.from(tensor.data);
  if (!transposed) return values;
  const [rows, columns] = tensor.dims;
  return values.map((_, at) => values[(at % rows) * columns + Math.floor(at / rows)]);
}

const largestDifference = (a: readonly number[], b: ArrayLike<number>): number =>
  a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i])), 0);

/** Finds the initializer that holds a checkpoint's tensor, under whatever name and in whatever orientation. */
function findParameter(model: Model, stored: Tensor): { name: string; transposed: boolean } {
  for (const transposed of [false, stored.dims.length === 2]) {
    const wanted = elements(stored as Tensor<'float32'>, transposed);
    const match = model.graph.initializers.find(
      ({ constant }) =>
        constant?.is('float32') && constant.size === stored.size && largestDifference(wanted, constant.data) === 0,
    );
    if (match) return { name: match.name, transposed };
  }
  throw new Error('The model has no such parameter.');
}

const hostTensor = (tensor: Tensor): HostTensor => ({ dtype: tensor.dtype, dims: tensor.dims, data: tensor.data });

/** Loss and gradients (by parameter, dense) of batch 0. */
async function runBatch(model: Model, { batches }: GradsJson, runtime: Runtime) {
  const training = buildTrainingGraph(model, {
    parameters: parameterNames(model),
    outputs: [],
    loss: (build, outputs) => crossEntropy(build, outputs.get('logits')!, build.input('labels', 'int64', [4])),
  });
  const feeds: Record<string, HostTensor> = {};
  for (const { name, shape } of training.model.graph.inputs) {
    const parameter = model.graph.values.get(name)?.constant;
    const dims = (shape ?? []).map(Number);
    feeds[name] = parameter
      ? hostTensor(parameter)
      : { dtype: 'int64', dims, data: BigInt64Array.from(batches[0][name].flat(), BigInt) };
  }
  const executable = await runtime.compile(training.model);
  const results = await executable.run(feeds);
  await executable.release();
  const gradients = new Map<string, Float32Array>();
  for (const [name, gradient] of training.gradients) {
    if (gradient.kind === 'dense') gradients.set(name, results[gradient.output].data as Float32Array);
    else {
      const { size, dims } = model.graph.value(name).constant!;
      const dense = new Float32Array(size);
      const ids = (feeds[gradient.ids] ?? results[gradient.ids]).data;
      (results[gradient.rows].data as Float32Array).forEach((value, i) => {
        dense[Number(ids[Math.floor(i / dims[1])]) * dims[1] + (i % dims[1])] += value;
      });
      gradients.set(name, dense);
    }
  }
  return { loss: Number(results[training.loss].data[0]), gradients };
}

describeWithShared('gradients of BERT', () => {
  const grads = JSON.parse(readFileSync(sharedPath('fixtures', 'grads', 'bert.json'), 'utf8')) as GradsJson;
  const expected = SafetensorsFile.open(sharedPath('fixtures', 'grads', 'bert.grads.safetensors'));
  const checkpoint = SafetensorsFile.open(sharedPath('fixtures', 'hf', 'bert', 'model.safetensors'));
  afterAll(() => [expected, checkpoint].forEach((file) => file.close()));

  const load = async (name: string): Promise<Model> =>
    name === 'hf'
      ? (await importHuggingFace(sharedPath('fixtures', 'hf', 'bert'))).bundle.model
      : readModelFile(sharedPath('fixtures', 'onnx', name, 'model.onnx'));

  it.each([
    ['hf', ortRuntime],
    ['bert-legacy-op14', ortRuntime],
    ['bert-legacy-op17', ortRuntime],
    ['bert-dynamo-op18', ortRuntime],
    ['bert-dynamo-op20', ortRuntime],
    ['bert-legacy-op17', tfjsRuntime],
  ] as const)('of %s equal those of PyTorch within 1e-6', async (name, runtime) => {
    const model = specialise(await load(name), { batch: 4, sequence: 16 });
    const { loss, gradients } = await runBatch(model, grads, runtime);
    expect(Math.abs(loss - grads.batch0.loss_fp32)).toBeLessThan(1e-6);
    for (const parameter of expected.tensors.keys()) {
      const { name: own, transposed } = findParameter(model, checkpoint.read(parameter));
      const reference = elements(expected.read(parameter) as Tensor<'float32'>, transposed);
      expect({ parameter, difference: largestDifference(reference, gradients.get(own)!) < 1e-6 }).toEqual({
        parameter,
        difference: true,
      });
    }
  });
});
