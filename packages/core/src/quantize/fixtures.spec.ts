import { describeWithShared, sharedPath } from '../../../../tools/shared-fixtures';
import type { Model } from '../graph';
import { verify } from '../graph/verify';
import { SafetensorsFile } from '../models/safetensors';
import { readModelFile } from '../onnx';
import { ortRuntime } from '../runtime';
import type { HostTensor } from '../runtime';
import { quantizeDynamicInt8 } from './dynamic';
import { activationGrids, calibrate } from './calibrate';
import { EMISSION_FORMS } from './emit';
import { exclusionsSchema } from './exclude';
import type { QuantizeMethod } from './method';
import type { CalibrationRows } from './observe';
import { quantizeModel } from './quantize';
import { rangeSchema } from './range';

const FIXTURES = [
  'bert-legacy-op14',
  'bert-legacy-op17',
  'bert-dynamo-op18',
  'bert-dynamo-op20',
  'distilbert-legacy-op14',
  'distilbert-legacy-op17',
  'distilbert-dynamo-op18',
];
const BATCHES = [0, 1, 2, 3];
/** Keeps everything but the tables, as the reference files `int8-matmul` do. */
const MATRICES_ONLY = exclusionsSchema.parse({ components: ['embeddings'] });

describeWithShared('int8 dynamic quantization of exported models', () => {
  const float = (name: string): Promise<Model> => readModelFile(sharedPath('fixtures', 'onnx', name, 'model.onnx'));
  const tensors = (...path: string[]): SafetensorsFile => SafetensorsFile.open(sharedPath('fixtures', ...path));

  async function logits(model: Model, io: SafetensorsFile): Promise<number[][]> {
    verify(model);
    const executable = await ortRuntime.compile(model, { threads: 1 });
    const results: number[][] = [];
    for (const batch of BATCHES) {
      const feeds = Object.fromEntries(
        executable.inputs.map((name): [string, HostTensor] => [name, io.read(`batch${batch}.${name}`)]),
      );
      results.push([...((await executable.run(feeds)).logits.data as Float32Array)]);
    }
    await executable.release();
    return results;
  }
  const read = (file: SafetensorsFile): number[][] =>
    BATCHES.map((batch) => file.read(`batch${batch}.logits`).toNumbers());
  const worst = (a: number[][], b: number[][]): number =>
    Math.max(...a.flatMap((row, i) => row.map((x, k) => Math.abs(x - b[i][k]))));
  const tables = (model: Model): { weight: string; component: 'embeddings' }[] =>
    model.graph.nodes
      .filter((node) => node.opType === 'Gather' && node.input(0).constant?.dims.length === 2)
      .map((node) => ({ weight: node.input(0).name, component: 'embeddings' }));

  it.each(['bert-legacy-op17', 'bert-dynamo-op18'])(
    '%s: computes what the reference quantizer’s file computes',
    async (name) => {
      const io = tensors('onnx', name, 'io.safetensors');
      // The reference outputs were recorded on another CPU, where one activation of batch 2 rounds the other way: so
      // its file is run here, and the record only bounds the result.
      const expected = await logits(
        await readModelFile(sharedPath('fixtures', 'quant', `${name}.int8-matmul.onnx`)),
        io,
      );
      const recorded = read(tensors('quant', `${name}.int8-matmul.out.safetensors`));
      for (const form of EMISSION_FORMS) {
        const model = await float(name);
        quantizeDynamicInt8(model, { form, minElements: 0, exclude: MATRICES_ONLY, components: tables(model) });
        const actual = await logits(model, io);
        expect(worst(actual, expected)).toBeLessThan(1e-6);
        expect(worst(actual, recorded)).toBeLessThan(5e-3);
      }
    },
  );

  it.each(FIXTURES)('%s: stays as near to float as the reference quantizer does, tables included', async (name) => {
    const io = tensors('onnx', name, 'io.safetensors');
    const expected = read(io);
    for (const form of EMISSION_FORMS) {
      const model = await float(name);
      const { quantized } = quantizeDynamicInt8(model, { form });
      expect(quantized.every((weight) => weight.relativeError < 0.01)).toBe(true);
      expect(worst(await logits(model, io), expected)).toBeLessThan(0.013);
    }
  });

  /** Texts of the fixture's first batches, row by row. */
  const rowsOf = (io: SafetensorsFile, inputs: readonly string[]): CalibrationRows => ({
    count: BATCHES.length,
    digest: '',
    inputs: (row) =>
      Object.fromEntries(inputs.map((name): [string, HostTensor] => [name, io.read(`batch${row}.${name}`)])),
  });

  it.each(['bert-legacy-op14', 'bert-dynamo-op20', 'distilbert-dynamo-op18'])(
    '%s: every other method stays near to float, too',
    async (name) => {
      const io = tensors('onnx', name, 'io.safetensors');
      const expected = read(io);
      const original = await float(name);
      const inputs = original.graph.inputs.map((input) => input.name);
      const grids = activationGrids(await calibrate(original, rowsOf(io, inputs)), rangeSchema.parse({}));
      const blocks = { kind: 'weight-only', block: 32, symmetric: true, compute: 'float32' } as const;
      const methods: [QuantizeMethod, number][] = [
        [{ kind: 'static', outputs: 'float', grids }, 0.03],
        [{ kind: 'static', outputs: 'int8', grids }, 0.06],
        [{ ...blocks, bits: 8 }, 0.006],
        [{ ...blocks, bits: 6 }, 0.03],
        [{ ...blocks, bits: 4 }, 0.15],
        [{ kind: 'fp16' }, 0.002],
      ];
      for (const [method, bound] of methods) {
        const model = await float(name);
        const { quantized } = quantizeModel(model, method);
        expect(quantized.length).toBeGreaterThan(12);
        expect([method.kind, worst(await logits(model, io), expected) < bound]).toEqual([method.kind, true]);
      }
    },
  );

  it('stores the same integers and scales as the reference quantizer', async () => {
    const path = sharedPath('fixtures', 'quant', 'bert-legacy-op17.int8-matmul.onnx');
    const reference = (await readModelFile(path)).graph;
    const model = await float('bert-legacy-op17');
    const { quantized } = quantizeDynamicInt8(model, {
      form: 'matmul-integer',
      minElements: 0,
      exclude: MATRICES_ONLY,
      components: tables(model),
    });
    expect(quantized).toHaveLength(14);
    for (const { weight } of quantized) {
      expect(model.graph.value(weight).constant).toEqual(reference.value(`${weight}_quantized`).constant);
      expect(model.graph.value(`${weight}_scale`).constant).toEqual(reference.value(`${weight}_scale`).constant);
    }
  });
});
