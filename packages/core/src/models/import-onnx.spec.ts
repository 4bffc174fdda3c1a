import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWithShared, sharedPath } from '../../../../tools/shared-fixtures';
import { readBundle, writeBundle } from '../bundle/bundle';
import { Graph, Model, Node, Value } from '../graph';
import { writeModel, writeModelFile } from '../onnx';
import { headFor, transformerConfig } from './config';
import { exportHuggingFace } from './export';
import { importHuggingFace } from './import';
import { importOnnx } from './import-onnx';
import { SafetensorsFile } from './safetensors';
import { maxDifference, runModel, tokenBatch } from './testing';
import type { TokenBatch } from './testing';
import { buildTransformer } from './transformer';
import { freshWeights } from './weights';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'import-onnx-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

describeWithShared('importOnnx on exports of PyTorch', () => {
  it.each([
    'bert-legacy-op14',
    'bert-legacy-op17',
    'bert-dynamo-op18',
    'bert-dynamo-op20',
    'distilbert-legacy-op14',
    'distilbert-legacy-op17',
    'distilbert-dynamo-op18',
  ])('%s becomes a bundle with the same outputs, and a checkpoint', async (name) => {
    const tokenizerDir = sharedPath('fixtures', 'hf', name.split('-')[0]);
    const labels = ['negative', 'neutral', 'positive'];
    const { bundle, warnings } = await importOnnx(sharedPath('fixtures', 'onnx', name), { tokenizerDir, labels });
    expect(warnings).toEqual([]);
    expect(bundle.manifest).toMatchObject({ architecture: name.split('-')[0], task: 'classification', maxLength: 64 });
    expect(bundle.manifest.components.filter(({ layer }) => layer !== undefined)).toHaveLength(12);
    const kept = await importOnnx(sharedPath('fixtures', 'onnx', name), { tokenizerDir, labels, keepGraph: true });
    expect(kept.bundle.manifest).toMatchObject({ architecture: 'foreign', structure: bundle.manifest.structure });
    await writeBundle(dir, bundle);
    await exportHuggingFace(dir, join(dir, 'checkpoint'));
    const back = await importHuggingFace(join(dir, 'checkpoint'));
    await writeBundle(join(dir, 'kept'), kept.bundle);
    const models = [(await readBundle(dir)).model, (await readBundle(join(dir, 'kept'))).model, back.bundle.model];

    const io = SafetensorsFile.open(sharedPath('fixtures', 'onnx', name, 'io.safetensors'));
    for (const k of [0, 3, 5]) {
      const rowsOf = (input: string): number[][] => {
        const { dims, data } = io.read(`batch${k}.${input}`);
        return Array.from({ length: dims[0] }, (_, row) =>
          Array.from((data as BigInt64Array).subarray(row * dims[1], (row + 1) * dims[1]), Number),
        );
      };
      const batch: TokenBatch = Object.fromEntries(bundle.manifest.inputs.map((input) => [input, rowsOf(input)]));
      for (const model of models) {
        const { logits } = await runModel(model, batch);
        expect(maxDifference(logits, io.read(`batch${k}.logits`).data as Float32Array)).toBeLessThan(1e-5);
      }
    }
    io.close();
  });

  it('marks a file that is quantized already, for the checks of later stages', async () => {
    const path = sharedPath('fixtures', 'quant', 'bert-legacy-op17.int8-default.onnx');
    const { bundle } = await importOnnx(path, { tokenizerDir: sharedPath('fixtures', 'hf', 'bert') });
    expect(bundle.manifest.provenance).toMatchObject([{ step: 'import', detail: { quantized: true } }]);
  });

  it('reads names and lengths from a config.json beside it', async () => {
    cpSync(sharedPath('fixtures', 'hf', 'bert'), dir, { recursive: true });
    cpSync(sharedPath('fixtures', 'onnx', 'bert-legacy-op17', 'model.onnx'), join(dir, 'onnx', 'model.onnx'));
    const { bundle } = await importOnnx(dir);
    expect(bundle.labels).toEqual(['negative', 'neutral', 'positive']);
    expect(bundle.manifest.tokenizer).toEqual({ kind: 'wordpiece', padId: 0 });
  });

  it('refuses labels that do not fit and a tokenizer of another model', async () => {
    const path = sharedPath('fixtures', 'onnx', 'bert-legacy-op17');
    await expect(importOnnx(path, { labels: ['a', 'b'] })).rejects.toMatchObject({ code: 'bundle.labels' });
    writeFileSync(
      join(dir, 'vocab.txt'),
      ['[PAD]', '[UNK]', '[CLS]', '[SEP]', ...Array.from({ length: 2000 }, (_, i) => `w${i}`)].join('\n'),
    );
    await expect(importOnnx(path, { tokenizerDir: dir })).rejects.toMatchObject({ code: 'bundle.vocabulary' });
  });
});

describe('importOnnx', () => {
  const config = transformerConfig('bert', { layers: 1, hidden: 8, heads: 2, vocabulary: 30, maxLength: 16 });
  const built = (task: 'regression' | 'masked-lm') =>
    buildTransformer(config, headFor(task, 0), freshWeights(1, 0.1)).model;

  it('says what is possible when the structure is not found', async () => {
    const graph = new Graph();
    const ids = graph.addInput('input_ids', 'int64', ['n', 's']);
    const floats = new Value('floats', { dtype: 'float32', shape: ['n', 's'] });
    const logits = new Value('logits', { dtype: 'float32', shape: ['n', 3] });
    graph.addNode(new Node('Cast', '', 'cast', [ids], [floats], new Map([['to', { type: 'int', value: 1 }]])));
    graph.addNode(new Node('Mystery', 'com.example', 'mystery', [floats], [logits]));
    graph.addOutput(logits);
    writeFileSync(
      join(dir, 'model.onnx'),
      writeModel(
        new Model(
          graph,
          new Map([
            ['', 17],
            ['com.example', 1],
          ]),
        ),
      ),
    );
    const { bundle, warnings } = await importOnnx(join(dir, 'model.onnx'));
    expect(bundle.labels).toEqual(['LABEL_0', 'LABEL_1', 'LABEL_2']);
    expect(bundle.manifest.components).toEqual([]);
    expect(warnings[0]).toBe(
      'The graph has no matrix multiplication with a constant weight. Still possible: evaluate, benchmark, quantize, ' +
        'finetune, distill from logits, and prune of single weights.',
    );
  });

  it('keeps a graph that only looks like one of ours', async () => {
    const model = built('regression');
    const tanh = model.graph.nodes.find((node) => node.opType === 'Tanh')!;
    const relu = new Node('Relu', '', 'relu', tanh.inputs, [
      new Value('relu', { dtype: 'float32', shape: ['batch', 8] }),
    ]);
    model.graph.addNode(relu, tanh);
    model.graph.replaceAllUses(tanh.output(), relu.output());
    await writeModelFile(model, join(dir, 'model.onnx'));
    const { bundle, warnings } = await importOnnx(dir);
    expect(bundle.manifest).toMatchObject({ architecture: 'foreign', structure: { hidden: 8 } });
    expect(warnings[0]).toMatch(
      /^The graph stays as it is \(built as bert, its outputs differ by .*\): removal of layers and hidden/,
    );
  });

  it('pools hidden states into an embedding', async () => {
    const model = built('regression');
    const hidden = model.graph.value('layer.0.ffn.norm');
    model.graph.renameValue(hidden, 'last_hidden_state');
    model.graph.outputs.splice(0, 1, hidden);
    await writeModelFile(model, join(dir, 'model.onnx'));
    const { bundle } = await importOnnx(dir);
    expect(bundle.manifest).toMatchObject({ task: 'embedding', output: 'embedding' });
    const { embedding } = await runModel(bundle.model, tokenBatch(3, 5, 30));
    expect(embedding).toHaveLength(3 * 8);
    expect(bundle.model.graph.values.has('classifier.weight')).toBe(false);
  });

  it.each<[string, string, (model: Model) => void]>([
    [
      'an input that is never fed',
      'import.inputs',
      ({ graph }) => void graph.addInput('pixel_values', 'float32', ['b', 3]),
    ],
    ['a fixed batch', 'import.fixed-shape', ({ graph }) => void (graph.inputs[0].shape = [1, 'sequence'])],
    [
      'an output of unclear meaning',
      'model.task',
      ({ graph }) => void (graph.outputs[0].shape = ['batch', 'sequence', 30]),
    ],
  ])('refuses %s (%s)', async (_, code, edit) => {
    const model = built('regression');
    edit(model);
    await writeModelFile(model, join(dir, 'model.onnx'));
    await expect(importOnnx(dir)).rejects.toMatchObject({ code });
  });
});
