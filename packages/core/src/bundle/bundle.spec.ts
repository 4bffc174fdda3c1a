import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tensor } from '../graph';
import { createTransformer, transformerConfig } from '../models';
import { bundleBytes, readBundle, writeBundle } from './bundle';
import type { Bundle } from './bundle';
import { refreshManifest, weightFacts } from './describe';
import type { Manifest } from './manifest';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bundle-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const VOCABULARY = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'b', 'c'];

function make(): Bundle {
  const config = transformerConfig('bert', {
    layers: 1,
    hidden: 8,
    heads: 2,
    vocabulary: VOCABULARY.length,
    maxLength: 10,
  });
  return createTransformer(config, {
    task: 'classification',
    labels: ['no', 'yes'],
    seed: 1,
    name: 'small',
    tokenizer: { kind: 'wordpiece', padId: 0 },
    tokenizerFiles: new Map([['vocab.txt', Buffer.from(VOCABULARY.join('\n'))]]),
  });
}

const editManifest = (change: (manifest: Manifest) => object): void => {
  const path = join(dir, 'manifest.json');
  writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8')) as Manifest)));
};

describe('bundle', () => {
  it('is read as it was written, and its sizes are those on disk', async () => {
    const bundle = make();
    await writeBundle(dir, bundle);
    const read = await readBundle(dir);
    expect([read.manifest, read.labels, read.tokenizerFiles]).toEqual([
      bundle.manifest,
      bundle.labels,
      bundle.tokenizerFiles,
    ]);
    const bytes = await bundleBytes(dir);
    expect(bytes.model).toBe(readFileSync(join(dir, 'model.onnx')).length);
    expect(bytes.total).toBeGreaterThan(bytes.model);
    writeFileSync(join(dir, 'model.onnx.data'), Buffer.alloc(1000));
    writeFileSync(join(dir, 'native.onnx'), Buffer.alloc(10));
    expect(await bundleBytes(dir)).toEqual({ model: bytes.model + 1000, total: bytes.total + 1010 });
    writeFileSync(join(dir, 'model.dan'), Buffer.alloc(7));
    expect(await bundleBytes(dir)).toEqual({ model: 7, total: bytes.total + 1017 });
  });

  it('counts parameters and zeros, and not the constants of the graph', () => {
    const { model, manifest } = make();
    const h = 8;
    const embeddings = (VOCABULARY.length + 10 + 2) * h;
    const layer = 4 * (h * h + h) + (h * 32 + 32) + (32 * h + h) + 4 * h;
    expect(manifest.parameters).toEqual({ embeddings, total: embeddings + 2 * h + layer + (h * h + h) + (2 * h + 2) });
    expect(manifest.sparsity).toEqual({});
    const value = model.graph.value('classifier.weight');
    value.constant = Tensor.float32([h, 2], [0, 0, 0, 0, ...Array<number>(12).fill(1)]);
    expect(weightFacts(model, manifest.components).sparsity).toEqual({ 'classifier.weight': 0.25 });
    expect(refreshManifest(manifest, model, { name: 'other' })).toMatchObject({
      name: 'other',
      sparsity: { 'classifier.weight': 0.25 },
    });
  });

  it.each<[string, string, () => void]>([
    ['fewer labels than classes', 'bundle.labels', () => writeFileSync(join(dir, 'labels.json'), '["no"]')],
    ['a label twice', 'bundle.labels', () => writeFileSync(join(dir, 'labels.json'), '["no","no"]')],
    ['labels that are not names', 'bundle.labels', () => writeFileSync(join(dir, 'labels.json'), '{"no":0}')],
    ['no labels', 'bundle.labels', () => rmSync(join(dir, 'labels.json'))],
    ['labels of a model without classes', 'bundle.labels', () => editManifest((m) => ({ ...m, task: 'regression' }))],
    ['no manifest', 'bundle.missing', () => rmSync(join(dir, 'manifest.json'))],
    ['no model', 'bundle.missing', () => rmSync(join(dir, 'model.onnx'))],
    ['a manifest that is not JSON', 'bundle.json', () => writeFileSync(join(dir, 'manifest.json'), '{')],
    ['a field of the wrong type', 'bundle.manifest', () => editManifest((m) => ({ ...m, maxLength: '128' }))],
    ['an output that is not there', 'bundle.output', () => editManifest((m) => ({ ...m, output: 'scores' }))],
    ['an input that is not there', 'bundle.input', () => editManifest((m) => ({ ...m, inputs: ['input_ids'] }))],
    [
      'a component that is not there',
      'bundle.component',
      () => editManifest((m) => ({ ...m, components: [{ component: 'W_Q', layer: 0, weight: 'gone' }] })),
    ],
    [
      'a tokenizer of another model',
      'bundle.vocabulary',
      () => writeFileSync(join(dir, 'vocab.txt'), [...VOCABULARY, 'd'].join('\n')),
    ],
  ])('refuses %s (%s)', async (_, code, damage) => {
    await writeBundle(dir, make());
    damage();
    await expect(readBundle(dir)).rejects.toMatchObject({ code, kind: 'invalid' });
  });

  it('does not write what could not be read', async () => {
    await expect(writeBundle(dir, { ...make(), labels: ['one'] })).rejects.toMatchObject({ code: 'bundle.labels' });
    expect(existsSync(join(dir, 'manifest.json'))).toBe(false);
  });
});
