import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWithShared, sharedPath } from '../../../../tools/shared-fixtures';
import { readBundle, writeBundle } from '../bundle/bundle';
import { exportHuggingFace } from './export';
import { importHuggingFace } from './import';
import { SafetensorsFile, writeSafetensors } from './safetensors';
import type { TensorToWrite } from './safetensors';
import { maxDifference, runModel } from './testing';
import type { TokenBatch } from './testing';

const CLASSIFIERS = ['bert', 'roberta', 'distilbert', 'gpt2'];
const HIDDEN = 64;

type Batch = TokenBatch & { readonly logits?: readonly (readonly number[] | null)[] };

const hf = (name: string): string => sharedPath('fixtures', 'hf', name);
const batchesOf = (name: string): Batch[] =>
  (JSON.parse(readFileSync(join(hf(name), 'cases.json'), 'utf8')) as { batches: Batch[] }).batches;

/** Keeps the vectors at positions that hold a token: padding positions are not defined. */
const atTokens = (values: Float32Array, width: number, { attention_mask: mask }: Batch): number[] =>
  mask.flat().flatMap((token, i) => (token ? [...values.subarray(i * width, (i + 1) * width)] : []));

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'import-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

/** A copy of a fixture that a test may damage. */
function copyOf(name: string): string {
  const copy = join(dir, name);
  cpSync(hf(name), copy, { recursive: true });
  return copy;
}

function editConfig(folder: string, changes: Record<string, unknown>): void {
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), ...changes }));
}

/** Rewrites model.safetensors with other names; a tensor named `undefined` is left out. */
function renameTensors(folder: string, rename: (name: string) => string | undefined): void {
  const path = join(folder, 'model.safetensors');
  const file = SafetensorsFile.open(path);
  const tensors = [...file.tensors].flatMap(([name, { dtype, dims }]): TensorToWrite[] => {
    const newName = rename(name);
    return newName === undefined ? [] : [{ name: newName, dtype, dims, load: () => file.read(name) }];
  });
  writeSafetensors(`${path}.new`, tensors);
  file.close();
  cpSync(`${path}.new`, path);
}

describeWithShared('importHuggingFace', () => {
  it.each(CLASSIFIERS)('%s gives the logits of transformers', async (name) => {
    const { bundle, warnings } = await importHuggingFace(hf(name));
    expect(warnings).toEqual([]);
    expect(bundle.labels).toEqual(['negative', 'neutral', 'positive']);
    for (const batch of batchesOf(name)) {
      const { logits } = await runModel(bundle.model, batch);
      const wanted = batch.logits!.map((row, i) => row ?? [...logits.subarray(i * 3, i * 3 + 3)]); // null: an empty text
      expect(maxDifference(logits, wanted.flat())).toBeLessThan(1e-5);
    }
  });

  it.each([...CLASSIFIERS, 'gpt2-lm'])('%s gives the hidden states of transformers', async (name) => {
    const gpt2 = name.startsWith('gpt2');
    const values = gpt2 ? ['embeddings.sum', 'norm'] : ['embeddings.norm', 'layer.1.ffn.norm'];
    const { bundle } = await importHuggingFace(hf(name));
    const expected = SafetensorsFile.open(join(hf(name), 'hidden.safetensors'));
    for (const [k, batch] of batchesOf(name).slice(0, 2).entries()) {
      const outputs = await runModel(bundle.model, batch, values);
      for (const [i, value] of values.entries()) {
        const wanted = expected.read(`batch${k}.hidden${i * 2}`).data as Float32Array;
        const difference = maxDifference(atTokens(outputs[value], HIDDEN, batch), atTokens(wanted, HIDDEN, batch));
        expect(difference).toBeLessThan(1e-5);
      }
    }
    expected.close();
  });

  it('gpt2-lm gives the logits of transformers', async () => {
    const { bundle } = await importHuggingFace(hf('gpt2-lm'));
    const expected = SafetensorsFile.open(join(hf('gpt2-lm'), 'hidden.safetensors'));
    const names = [...expected.tensors.keys()].filter((name) => name.endsWith('logits_every20'));
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) {
      const batch = batchesOf('gpt2-lm')[Number(/\d+/.exec(name)![0])];
      const { logits } = await runModel(bundle.model, batch);
      const wanted = expected.read(name);
      const every20 = logits.filter((_, i) => i % 20 === 0);
      const columns = wanted.dims.at(-1)!;
      expect(
        maxDifference(atTokens(every20, columns, batch), atTokens(wanted.data as Float32Array, columns, batch)),
      ).toBeLessThan(1e-4);
    }
    expected.close();
  });

  it.each([...CLASSIFIERS, 'gpt2-lm'])('%s goes through a bundle and back, byte for byte', async (name) => {
    const { bundle } = await importHuggingFace(hf(name));
    await writeBundle(join(dir, 'bundle'), bundle);
    const read = await readBundle(join(dir, 'bundle'));
    expect([read.manifest, read.labels, read.tokenizerFiles]).toEqual([
      bundle.manifest,
      bundle.labels,
      bundle.tokenizerFiles,
    ]);
    await exportHuggingFace(join(dir, 'bundle'), join(dir, 'out'));
    for (const file of ['model.safetensors', 'tokenizer.json', 'tokenizer_config.json']) {
      expect(Buffer.compare(readFileSync(join(dir, 'out', file)), readFileSync(join(hf(name), file)))).toBe(0);
    }
    const json = (folder: string): unknown => JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
    expect(json(join(dir, 'out'))).toEqual(json(hf(name)));
  });

  it('reads bodies without prefix and the first LayerNorm names, and makes a missing head afresh, saying so', async () => {
    const folder = copyOf('bert');
    renameTensors(folder, (name) =>
      name.startsWith('classifier')
        ? undefined
        : name.replace('bert.', '').replace('LayerNorm.weight', 'LayerNorm.gamma'),
    );
    const { bundle, warnings } = await importHuggingFace(folder, { labels: ['no', 'yes'], seed: 3 });
    expect(warnings).toEqual([
      expect.stringContaining('classifier.weight, classifier.bias: initialised afresh with seed 3'),
    ]);
    expect(bundle.model.graph.value('classifier.weight').shape).toEqual([HIDDEN, 2]);
    const again = await importHuggingFace(folder, { labels: ['no', 'yes'], seed: 3 });
    expect(again.bundle.model.graph.value('classifier.weight').constant).toEqual(
      bundle.model.graph.value('classifier.weight').constant,
    );
  });

  it('starts a classifier afresh when other labels are asked for, keeping the rest of the head', async () => {
    const { bundle, warnings } = await importHuggingFace(hf('roberta'), { labels: ['a', 'b', 'c', 'd'] });
    expect(warnings[0]).toContain('classifier.out_proj.weight, classifier.out_proj.bias: initialised afresh');
    expect(bundle.labels).toHaveLength(4);
    expect(bundle.model.graph.outputs[0].shape).toEqual(['batch', 4]);
  });

  it('imports a bare body as an encoder of mean-pooled embeddings', async () => {
    const { bundle, warnings } = await importHuggingFace(hf('bert'), { task: 'embedding' });
    expect(warnings[0]).toContain('4 tensors of the checkpoint are not used for this task');
    const [batch] = batchesOf('bert');
    const outputs = await runModel(bundle.model, batch, ['layer.1.ffn.norm']);
    const states = outputs['layer.1.ffn.norm'];
    const sequence = batch.input_ids[0].length;
    const wanted = batch.attention_mask.flatMap((mask, row) =>
      Array.from({ length: HIDDEN }, (_, i) => {
        const tokens = mask.flatMap((token, s) => (token ? [states[(row * sequence + s) * HIDDEN + i]] : []));
        return tokens.reduce((sum, x) => sum + x, 0) / tokens.length;
      }),
    );
    expect(maxDifference(outputs['embedding'], wanted)).toBeLessThan(1e-5);
  });

  it('keeps how a sentence encoder pools, and refuses ways that it does not have', async () => {
    const folder = copyOf('distilbert');
    const write = (path: string, value: unknown): void => writeFileSync(join(folder, path), JSON.stringify(value));
    const types = ['Transformer', 'Pooling', 'Normalize'];
    write(
      'modules.json',
      types.map((type) => ({ type: `sentence_transformers.models.${type}` })),
    );
    mkdirSync(join(folder, '1_Pooling'));
    write('1_Pooling/config.json', { pooling_mode_mean_tokens: true });
    const { bundle } = await importHuggingFace(folder, { task: 'embedding' });
    const [batch] = batchesOf('distilbert');
    const { embedding } = await runModel(bundle.model, batch);
    expect(embedding.slice(0, HIDDEN).reduce((sum, x) => sum + x * x, 0)).toBeCloseTo(1, 5);
    await writeBundle(join(dir, 'bundle'), bundle);
    await exportHuggingFace(join(dir, 'bundle'), join(dir, 'out'));
    const again = await importHuggingFace(join(dir, 'out'));
    expect((await runModel(again.bundle.model, batch)).embedding).toEqual(embedding);

    write('1_Pooling/config.json', { pooling_mode_cls_token: true });
    await expect(importHuggingFace(folder, { task: 'embedding' })).rejects.toMatchObject({ code: 'config.pooling' });
    write('modules.json', [{ type: 'sentence_transformers.models.Dense' }]);
    await expect(importHuggingFace(folder, { task: 'embedding' })).rejects.toMatchObject({ code: 'config.pooling' });
  });

  it('reads a checkpoint in shards', async () => {
    const folder = copyOf('distilbert');
    const file = SafetensorsFile.open(join(folder, 'model.safetensors'));
    const names = [...file.tensors.keys()];
    const shardOf = (i: number): string => `model-0000${(i % 2) + 1}-of-00002.safetensors`;
    for (const shard of [0, 1]) {
      const part = names.filter((_, i) => i % 2 === shard);
      writeSafetensors(
        join(folder, shardOf(shard)),
        part.map((name) => ({ name, ...file.tensors.get(name)!, load: () => file.read(name) })),
      );
    }
    file.close();
    const index = { weight_map: Object.fromEntries(names.map((name, i) => [name, shardOf(i)])) };
    rmSync(join(folder, 'model.safetensors'));
    writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
    const [sharded, single] = await Promise.all([importHuggingFace(folder), importHuggingFace(hf('distilbert'))]);
    const [batch] = batchesOf('distilbert');
    expect((await runModel(sharded.bundle.model, batch)).logits).toEqual(
      (await runModel(single.bundle.model, batch)).logits,
    );

    const bad = { weight_map: { ...index.weight_map, 'classifier.bias': '../../etc/passwd' } };
    writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify(bad));
    await expect(importHuggingFace(folder)).rejects.toMatchObject({ code: 'checkpoint.index' });
    const swapped = { weight_map: { ...index.weight_map, [names[0]]: shardOf(1) } };
    writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify(swapped));
    await expect(importHuggingFace(folder)).rejects.toMatchObject({ code: 'checkpoint.index' });
  });

  it.each<[string, string, (folder: string) => void]>([
    [
      'tensors missing from the body',
      'checkpoint.missing-tensors',
      (f) => renameTensors(f, (n) => (n.includes('layer.1') ? undefined : n)),
    ],
    ['a size that the weights do not have', 'checkpoint.shape', (f) => editConfig(f, { intermediate_size: 128 })],
    ['a vocabulary smaller than the tokenizer', 'bundle.vocabulary', (f) => editConfig(f, { vocab_size: 1999 })],
    ['a vocabulary that is not the table', 'checkpoint.shape', (f) => editConfig(f, { vocab_size: 2010 })],
    ['an unknown architecture', 'config.model-type', (f) => editConfig(f, { model_type: 'llama' })],
    ['an unknown activation', 'config.activation', (f) => editConfig(f, { hidden_act: 'constructor' })],
    ['heads that do not divide the hidden size', 'model.heads', (f) => editConfig(f, { num_attention_heads: 7 })],
    ['relative positions', 'config.field', (f) => editConfig(f, { position_embedding_type: 'relative_key' })],
    ['a billion layers', 'config.field', (f) => editConfig(f, { num_hidden_layers: 1e9 })],
    ['a config that is not JSON', 'config.json', (f) => writeFileSync(join(f, 'config.json'), '{')],
    ['no config', 'config.missing', (f) => rmSync(join(f, 'config.json'))],
    ['no weights', 'checkpoint.missing', (f) => rmSync(join(f, 'model.safetensors'))],
  ])('refuses %s (%s)', async (_, code, damage) => {
    const folder = copyOf('bert');
    damage(folder);
    await expect(importHuggingFace(folder)).rejects.toMatchObject({ code });
  });

  it('refuses pickled weights', async () => {
    const folder = copyOf('bert');
    rmSync(join(folder, 'model.safetensors'));
    writeFileSync(join(folder, 'pytorch_model.bin'), '');
    await expect(importHuggingFace(folder)).rejects.toMatchObject({ code: 'checkpoint.pickle', kind: 'unsupported' });
  });

  it.each([
    ['masked-lm', 'gpt2'],
    ['causal-lm', 'bert'],
  ] as const)('refuses the task %s for %s', async (task, name) => {
    await expect(importHuggingFace(hf(name), { task })).rejects.toMatchObject({ code: 'model.task' });
  });
});
