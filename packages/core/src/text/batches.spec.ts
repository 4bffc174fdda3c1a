import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { Batches } from './batches';
import type { BatchOptions } from './batches';
import { bucketsFor, planBatches } from './length-buckets';
import { TokenRows, TokenRowsWriter } from './token-rows';
import { tokenizeSplit } from './tokenize';
import { Tokenizer } from './tokenizer';
import { bertTokenizer } from './tokenizer-vocabulary';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'modelpress-batches-'))));
afterEach(() => rmSync(folder, { recursive: true }));

function write(rows: readonly { ids: number[]; first?: number; label?: number }[]): void {
  const writer = new TokenRowsWriter(folder);
  for (const { ids, first = ids.length, label = Number.NaN } of rows) writer.push(ids, first, label);
  writer.close();
}

const numbers = (data: ArrayLike<number | bigint>): number[] => Array.from(data, Number);

describe('TokenRows', () => {
  it.each([
    ['memory', 2 ** 20],
    ['disk', 0],
  ])('gives back what was written, from %s', (_, memoryBytes) => {
    const rows = Array.from({ length: 40_000 }, (_, i) => ({
      ids: Array.from({ length: i % 5 }, (_, k) => i + k),
      label: i % 3,
    }));
    write(rows);
    const read = new TokenRows(folder, memoryBytes);
    expect([read.rows, read.longest, read.totalTokens]).toEqual([40_000, 4, 80_000]);
    for (const i of [0, 1, 4, 16_384, 39_999]) {
      expect(numbers(read.ids(i))).toEqual(rows[i].ids);
      expect(read.labels[i]).toBe(rows[i].label);
    }
    read.close();
  });
});

describe('planBatches', () => {
  it('uses every row once, fills all batches but one, fits every row, and depends on seed and epoch alone', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 300 }),
        fc.integer({ min: 1, max: 20 }),
        fc.option(fc.record({ seed: fc.nat(), epoch: fc.nat(9) }), { nil: undefined }),
        (lengths, batchSize, order) => {
          const buckets = bucketsFor(Math.max(...lengths), 40);
          const plan = planBatches(Uint32Array.from(lengths), batchSize, buckets, order);
          expect(plan.batches.flatMap((rows) => numbers(rows)).sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
          expect(plan.batches.filter((rows) => rows.length < batchSize).length).toBeLessThanOrEqual(1);
          expect(plan.batches).toHaveLength(Math.ceil(lengths.length / batchSize));
          plan.batches.forEach((rows, i) => {
            expect(Math.max(...numbers(rows).map((row) => lengths[row]))).toBeLessThanOrEqual(plan.sequences[i]);
            expect(buckets).toContain(plan.sequences[i]);
          });
          expect(planBatches(Uint32Array.from(lengths), batchSize, buckets, order)).toEqual(plan);
        },
      ),
    );
  });

  it('shuffles differently in each epoch', () => {
    const lengths = new Uint32Array(100).fill(5);
    const first = planBatches(lengths, 10, [8], { seed: 1, epoch: 0 });
    expect(planBatches(lengths, 10, [8], { seed: 1, epoch: 1 })).not.toEqual(first);
    expect(planBatches(lengths, 10, [8], { seed: 2, epoch: 0 })).not.toEqual(first);
  });
});

describe('bucketsFor', () => {
  it('stops at the bucket that holds the longest row, and at the longest length allowed', () => {
    expect(bucketsFor(20, 512)).toEqual([8, 16, 24]);
    expect(bucketsFor(30, 30)).toEqual([8, 16, 24, 30]);
    expect(bucketsFor(3, 4)).toEqual([4]);
  });
});

describe('Batches', () => {
  const options: BatchOptions = {
    batchSize: 2,
    maxLength: 16,
    padId: 9,
    inputs: ['input_ids', 'attention_mask', 'token_type_ids'],
    labels: 'class',
  };

  it('pads ids, mask, types, labels and weights', () => {
    write([
      { ids: [1, 2, 3], first: 2, label: 1 },
      { ids: [4], label: 2 },
      { ids: [], label: 1 },
    ]);
    const epoch = new Batches(new TokenRows(folder), { ...options, buckets: [4] }).epoch(0);
    expect(epoch.count).toBe(2);
    const [full, partial] = [epoch.batch(0), epoch.batch(1)];
    expect(full.inputs['input_ids'].dims).toEqual([2, 4]);
    expect(numbers(full.inputs['input_ids'].data)).toEqual([1, 2, 3, 9, 4, 9, 9, 9]);
    expect(numbers(full.inputs['attention_mask'].data)).toEqual([1, 1, 1, 0, 1, 0, 0, 0]);
    expect(numbers(full.inputs['token_type_ids'].data)).toEqual([0, 0, 1, 0, 0, 0, 0, 0]);
    expect(full.labels).toEqual({ dtype: 'int64', dims: [2], data: BigInt64Array.of(1n, 2n) });
    expect(numbers(full.weights.data)).toEqual([1, 1]);
    expect(numbers(partial.inputs['attention_mask'].data)).toEqual([1, 0, 0, 0, 1, 0, 0, 0]);
    expect(numbers(partial.weights.data)).toEqual([1, 0]);
    expect(numbers(partial.rows)).toEqual([2]);
  });

  it('refuses rows longer than the model, inputs that are not made from text, and bad batch sizes', () => {
    write([{ ids: Array.from({ length: 17 }, () => 1) }]);
    const rows = new TokenRows(folder);
    expect(() => new Batches(rows, options)).toThrow(expect.objectContaining({ code: 'batches.length' }));
    const long = { ...options, maxLength: 32 };
    expect(() => new Batches(rows, { ...long, inputs: ['pixels'] })).toThrow(
      expect.objectContaining({ code: 'batches.input' }),
    );
    expect(() => new Batches(rows, { ...long, batchSize: 0 })).toThrow(
      expect.objectContaining({ code: 'batches.size' }),
    );
  });
});

describe('tokenizeSplit', () => {
  const vocab = Object.fromEntries(
    ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'a', 'b', '##c'].map((token, id) => [token, id]),
  );
  const tokenizer = new Tokenizer(bertTokenizer(vocab));
  const examples = [
    { text: 'a b', label: 'x' },
    { text: 'bcc a a', pair: 'b', label: 'new' },
    { text: '?', label: 'y' },
  ];

  const writeSplit = (): void =>
    writeFileSync(join(folder, 'train.jsonl'), examples.map((example) => `${JSON.stringify(example)}\n`).join(''));

  it('tokenizes in a thread', async () => {
    writeSplit();
    const { rows, statistics } = await tokenizeSplit(folder, 'train', tokenizer, {
      folder: join(folder, 'tokens'),
      maxLength: 8,
      labels: ['x', 'y'],
    });
    expect([0, 1, 2].map((row) => numbers(rows.ids(row)))).toEqual([
      [2, 4, 5, 3],
      [2, 5, 6, 6, 4, 3, 5, 3],
      [2, 1, 3],
    ]);
    expect(numbers(rows.firstLengths)).toEqual([4, 6, 3]);
    expect(numbers(rows.labels)).toEqual([0, 2, 1]);
    expect(statistics).toEqual({ rows: 3, tokens: 15, truncatedRows: 1, unknownTokens: 1, unseenLabels: ['new'] });
  });

  it('passes errors and cancellation on', async () => {
    const options = { folder: join(folder, 'tokens'), maxLength: 8 };
    await expect(tokenizeSplit(folder, 'dev', tokenizer, options)).rejects.toMatchObject({ code: 'dataset.no-split' });
    writeFileSync(join(folder, 'dev.jsonl'), '{"text":"a"}\n{"txet":"b"}\n');
    await expect(tokenizeSplit(folder, 'dev', tokenizer, options)).rejects.toMatchObject({
      code: 'dataset.corrupt',
      details: { file: 'dev.jsonl', line: 2 },
    });
    writeSplit();
    const abort = new AbortController();
    const pending = tokenizeSplit(folder, 'train', tokenizer, { ...options, signal: abort.signal });
    abort.abort();
    await expect(pending).rejects.toMatchObject({ kind: 'cancelled' });
  });
});
