import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { splitLines } from '../lines';
import { readSplit } from '../read';
import type { Example } from '../dataset';
import { findColumns, looksLikeHeader } from './columns';
import { HashList, hashText } from './hashes';
import { importDataset } from './import-dataset';
import { namedSplit } from './split-names';
import { stratify } from './stratify';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'modelpress-parsers-'))));
afterEach(() => rmSync(folder, { recursive: true }));

/** Imports a file and reads it back. */
async function roundTrip(name: string, content: string): Promise<Example[]> {
  const file = join(folder, name);
  const out = join(folder, 'out');
  rmSync(out, { recursive: true, force: true });
  writeFileSync(file, content);
  await importDataset({ name: 'test', source: [{ path: file }] }, out);
  const examples: Example[] = [];
  for await (const example of readSplit(out, 'train')) examples.push(example);
  return examples;
}

/** Any text without lone surrogates or zero bytes, which no UTF-8 text file holds. */
const anyText = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => !text.includes('\u0000'));
const labelled = (text: fc.Arbitrary<string>) =>
  fc
    .array(fc.record({ text, label: fc.constantFrom('yes', 'no', '3') }), { minLength: 2, maxLength: 12 })
    .filter((rows) => new Set(rows.map(({ label }) => label)).size > 1);

const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;

describe('written rows are read back', () => {
  it('CSV, with any character in a quoted cell', async () => {
    await fc.assert(
      fc.asyncProperty(labelled(anyText), async (rows) => {
        const lines = rows.map(({ text, label }) => `${label},${quoted(text)}\n`);
        expect(await roundTrip('train.csv', `label,text\n${lines.join('')}`)).toEqual(rows);
      }),
      { numRuns: 50 },
    );
  });

  it('TSV, with any character but tabs and line ends', async () => {
    const cell = anyText.filter((text) => !/[\t\n\r]/.test(text));
    await fc.assert(
      fc.asyncProperty(labelled(cell), async (rows) => {
        const lines = rows.map(({ text, label }) => `${text}\t${label}\r\n`);
        expect(await roundTrip('train.tsv', `text\tlabel\n${lines.join('')}`)).toEqual(rows);
      }),
      { numRuns: 50 },
    );
  });

  it('JSONL and JSON, with any character', async () => {
    await fc.assert(
      fc.asyncProperty(labelled(anyText), async (rows) => {
        expect(await roundTrip('train.jsonl', rows.map((row) => `${JSON.stringify(row)}\n`).join(''))).toEqual(rows);
        expect(await roundTrip('data.json', JSON.stringify(rows))).toEqual(rows);
        const lists = { train: rows.map(({ text, label }) => [text, label]) };
        expect(await roundTrip('data.json', JSON.stringify(lists))).toEqual(rows);
      }),
      { numRuns: 50 },
    );
  });
});

describe('splitLines', () => {
  it('gives the same lines however the text is cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom('a', 'bc', '\n', '\r\n', ''), { maxLength: 30 }), async (chunks) => {
        const expected = chunks.join('').split(/\r?\n/);
        if (expected.at(-1) === '') expected.pop();
        const lines: string[] = [];
        const stream = async function* () {
          yield* chunks;
        };
        for await (const group of splitLines(stream())) lines.push(...group);
        expect(lines).toEqual(expected);
      }),
    );
  });
});

describe('namedSplit', () => {
  it.each([
    ['train.tsv', 'train', '.tsv'],
    ['TREC.train.all', 'train', 'TREC..all'],
    ['valid/seq.in', 'dev', '/seq.in'],
    ['a/testset_w_refs.csv', 'test', 'a/.csv'],
    ['dart-v1.1.1-full-dev.json', 'dev', 'dart-v1.1.1-full-.json'],
    ['test/train.csv', 'train', 'test/.csv'],
    ['retrained.csv', undefined, 'retrained.csv'],
    ['latest.txt', undefined, 'latest.txt'],
  ])('%s: %s', (name, split, rest) => {
    expect(namedSplit(name)).toMatchObject({ split, rest });
  });

  it('tells out-of-scope keys', () => {
    expect(namedSplit('oos_val')).toMatchObject({ split: 'dev', outOfScope: true });
    expect(namedSplit('val')).toMatchObject({ split: 'dev', outOfScope: false });
  });
});

describe('columns', () => {
  const table = (header: string[] | undefined, rows: string[][] = []) => ({ file: 'f', header, rows });
  it.each([
    [['index', 'sentence1', 'sentence2', 'label'], { text: 1, pair: 2, label: 3 }],
    [['question', 'sentence', 'label'], { text: 0, pair: 1, label: 2 }],
    [['Label', 'Review'], { text: 1, label: 0 }],
    [['mr', 'ref'], { text: 0, target: 1 }],
    [['id', 'body'], { text: 1 }],
    [['anything', 'class'], { text: 0, label: 1 }],
  ])('by header %j', (header, places) => {
    expect(findColumns(table(header), {})).toEqual(places);
  });

  it('by content: few values are the label, numbers are no text', () => {
    const rows = Array.from({ length: 30 }, (_, i) => [String(i), 'same', `text ${i}`, i % 2 ? 'pos' : 'neg']);
    expect(findColumns(table(undefined, rows), {})).toEqual({ text: 2, label: 3 });
  });

  it('tells headers from rows', () => {
    expect(looksLikeHeader(['Text', 'label'])).toBe(true);
    expect(looksLikeHeader(['some long text', 'positive'])).toBe(false);
    expect(looksLikeHeader(['text', 'text'])).toBe(false);
  });
});

describe('hashes', () => {
  it('count what sets count', () => {
    const texts = fc.array(fc.stringMatching(/^[ab]{0,3}$/), { maxLength: 40 });
    fc.assert(
      fc.property(texts, texts, (first, second) => {
        const list = (all: string[]): HashList => {
          const hashes = new HashList();
          for (const one of all) hashes.push(hashText(one));
          return hashes;
        };
        expect(list(first).duplicates()).toBe(first.length - new Set(first).size);
        expect(list(first).countIn(list(second))).toBe(first.filter((text) => second.includes(text)).length);
      }),
    );
  });

  it('differ for 200,000 near texts', () => {
    const hashes = new Set(Array.from({ length: 200_000 }, (_, i) => hashText(`text number ${i}`)));
    expect(hashes.size).toBe(200_000);
  });
});

describe('stratify', () => {
  it('takes at most its share of every class, rounded up, and leaves one row of each', () => {
    const classes = fc.array(fc.nat(4), { minLength: 1, maxLength: 400 });
    fc.assert(
      fc.property(classes, fc.double({ min: 0.01, max: 0.45, noNaN: true }), fc.nat(), (rows, share, seed) => {
        const assigned = stratify(Uint32Array.from(rows), [share, share], seed);
        for (const label of new Set(rows)) {
          const own = rows.flatMap((row, i) => (row === label ? [assigned[i]] : []));
          expect(own).toContain(0);
          for (const split of [1, 2]) {
            expect(own.filter((where) => where === split).length).toBeLessThanOrEqual(Math.ceil(share * own.length));
          }
        }
      }),
    );
  });
});
