import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { describeWithShared, sharedPath } from '../../../../../tools/shared-fixtures';
import type { DatasetInfo, Example, Split } from '../dataset';
import { readDatasetInfo, readSplit } from '../read';
import { importDataset } from './import-dataset';
import type { ImportOptions } from './options';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'modelpress-import-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const out = (): string => join(folder, 'out');
const inFolder = (name: string): string => join(folder, 'in', name);

function write(files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(inFolder(name)), { recursive: true });
    writeFileSync(inFolder(name), content);
  }
}

const load = (options: Partial<ImportOptions> = {}): Promise<DatasetInfo> =>
  importDataset({ name: 'test', source: inFolder(''), ...options }, out());

async function rows(split: Split = 'train'): Promise<Example[]> {
  const examples: Example[] = [];
  for await (const example of readSplit(out(), split)) examples.push(example);
  return examples;
}

const counts = ({ splits }: DatasetInfo) =>
  Object.fromEntries(Object.entries(splits).map(([split, statistics]) => [split, statistics.rows]));

describeWithShared('importDataset on the shared data', () => {
  interface Expected {
    readonly kind: string;
    readonly labels: number;
    readonly rows: object;
    readonly options?: Partial<ImportOptions>;
  }
  const binary = { kind: 'classification', labels: 2 };
  const sets: readonly (readonly [string, Expected])[] = [
    ['sst2', { ...binary, rows: { train: 60_614, dev: 6735, test: 872 } }],
    [
      'sst_sentences',
      { kind: 'classification', labels: 5, rows: { train: 8544, dev: 1101, test: 2210 }, options: { select: 'fine' } },
    ],
    ['ag_news', { kind: 'classification', labels: 4, rows: { train: 10_001, test: 7600 } }],
    ['trec', { kind: 'classification', labels: 6, rows: { train: 5452, test: 500 } }],
    [
      'trec',
      { kind: 'classification', labels: 50, rows: { train: 5452, test: 500 }, options: { mapping: { level: 'fine' } } },
    ],
    ['mr', { ...binary, rows: { train: 10_662 } }],
    ['subj', { ...binary, rows: { train: 10_000 } }],
    ['cr', { ...binary, rows: { train: 3775 } }],
    ['rasa_sara', { kind: 'classification', labels: 67, rows: { train: 4997 } }],
    ['clinc150', { kind: 'classification', labels: 150, rows: { train: 15_000, dev: 3000, test: 4500 } }],
    [
      'clinc150',
      {
        kind: 'classification',
        labels: 151,
        rows: { train: 15_100, dev: 3100, test: 5500 },
        options: { mapping: { outOfScope: true } },
      },
    ],
    ['snips', { kind: 'classification', labels: 7, rows: { train: 13_084, dev: 700, test: 700 } }],
    ['atis', { kind: 'classification', labels: 21, rows: { train: 4478, dev: 500, test: 893 } }],
    ['glue_small/RTE', { kind: 'pair-classification', labels: 2, rows: { train: 2127, dev: 363, test: 277 } }],
    ['glue_small/CoLA', { ...binary, rows: { train: 7250, dev: 1301, test: 1043 } }],
    ['glue_small/WNLI', { kind: 'pair-classification', labels: 2, rows: { train: 518, dev: 117, test: 71 } }],
    ['textfooler_1k/snli', { kind: 'pair-classification', labels: 3, rows: { train: 1000 } }],
    ['textfooler_1k/mnli', { kind: 'pair-classification', labels: 3, rows: { train: 1000 } }],
    ['textfooler_1k/yelp', { ...binary, rows: { train: 1000 } }],
    ['e2e_nlg', { kind: 'generation', labels: 0, rows: { train: 4672, test: 4693 } }],
    ['webnlg2017_dev', { kind: 'generation', labels: 0, rows: { train: 2268 } }],
    ['dart_dev', { kind: 'generation', labels: 0, rows: { train: 6980 } }],
    ['zh_chnsenticorp_htl', { ...binary, rows: { train: 7766 } }],
    ['zh_waimai_10k', { ...binary, rows: { train: 11_987 } }],
    ['zh_online_shopping_10_cats', { ...binary, rows: { train: 62_774 } }],
    [
      'zh_online_shopping_10_cats',
      { kind: 'classification', labels: 10, rows: { train: 62_774 }, options: { mapping: { label: 'cat' } } },
    ],
    ['unlabeled_imdb_unsup', { kind: 'unlabelled', labels: 0, rows: { train: 10_493 } }],
    ['unlabeled_wiki_sents', { kind: 'unlabelled', labels: 0, rows: { train: 14_750 } }],
  ];

  it.each(sets)('%s: %j', async (name, { kind, labels, rows: expected, options }) => {
    const info = await importDataset({ name, source: sharedPath('data', name), ...options }, out());
    expect([info.kind, info.labels.length, counts(info)]).toEqual([kind, labels, expected]);
    expect(await readDatasetInfo(out())).toEqual(info);
    for (const [split, count] of Object.entries(counts(info))) expect(await rows(split as Split)).toHaveLength(count);
  });

  it('finds the texts that two splits share', async () => {
    const warnings = async (name: string) => {
      rmSync(out(), { recursive: true, force: true });
      return (await importDataset({ name, source: sharedPath('data', name) }, out())).warnings;
    };
    expect(await warnings('sst2')).toContain('75 of 6735 dev rows also occur in train.');
    expect(await warnings('ag_news')).toContain('9 of 7600 test rows also occur in train.');
    expect(await warnings('trec')).toContain('10 of 500 test rows also occur in train.');
  });

  it('strips the entities of Rasa examples as the reference split has them', async () => {
    await importDataset({ name: 'rasa', source: sharedPath('data', 'rasa_sara', 'nlu') }, out());
    const reference = JSON.parse(readFileSync(sharedPath('fixtures', 'splits', 'rasa_sara.json'), 'utf8'));
    const expected: [string, string][] = [];
    for (const split of ['train', 'test']) {
      reference[split].forEach((row: [string, string], i: number) => (expected[reference[`${split}_index`][i]] = row));
    }
    expect((await rows()).map(({ text, label }) => [text, label])).toEqual(expected);
  });
});

describe('importDataset: what comes as a list of files', () => {
  it('leaves licences and the like of an uploaded folder out, but reads a single file whatever its name', async () => {
    write({
      'LICENSE.txt': 'free',
      'train.tsv': 'text\tlabel\na\tx\nb\ty\n',
      'readme.tsv': 'text\tlabel\nc\tx\nd\ty\n',
    });
    const files = ['LICENSE.txt', 'train.tsv'].map((name) => ({ path: join(folder, 'in', name), name }));
    await importDataset({ name: 'list', source: files, several: 'versions' }, out());
    expect(await rows()).toEqual([
      { text: 'a', label: 'x' },
      { text: 'b', label: 'y' },
    ]);
    rmSync(out(), { recursive: true });
    await importDataset({ name: 'one', source: [{ path: join(folder, 'in', 'readme.tsv') }] }, out());
    expect((await rows()).map(({ text }) => text)).toEqual(['c', 'd']);
  });
});

describe('importDataset: splits by themselves', () => {
  const table = (rows: number): string =>
    ['text\tlabel', ...Array.from({ length: rows }, (_, i) => `text ${i}\t${i % 2 ? 'odd' : 'even'}`)].join('\n');

  it('cuts off what is missing and says so', async () => {
    write({ 'train.tsv': table(100) });
    const info = await load({ splits: 'auto' });
    expect(Object.values(info.splits).map(({ rows: count }) => count)).toEqual([70, 10, 20]);
    expect(info.warnings).toContain('Cut off from train, by label and seed: 10 % as dev, 20 % as test.');
  });

  it('keeps the splits that the data has, and leaves unlabelled and tiny data whole', async () => {
    write({ 'train.tsv': table(100), 'test.tsv': table(10) });
    const info = await load({ splits: 'auto' });
    expect([info.splits.train?.rows, info.splits.dev?.rows, info.splits.test?.rows]).toEqual([90, 10, 10]);
    rmSync(join(folder, 'in'), { recursive: true });
    rmSync(out(), { recursive: true });
    write({ 'train.tsv': table(40) });
    expect(Object.keys((await load({ splits: 'auto' })).splits)).toEqual(['train']);
  });
});

describe('importDataset: formats', () => {
  it('reads CSV with quotes, line ends in cells and a byte order mark', async () => {
    write({ 'all.csv': '\uFEFFlabel,text\r\ngood,"a ""b"",\nc"\r\nbad,d\r\n' });
    await load();
    expect(await rows()).toEqual([
      { text: 'a "b",\nc', label: 'good' },
      { text: 'd', label: 'bad' },
    ]);
  });

  it('reads JSONL, columns by name, numbers as regression targets', async () => {
    write({ 'train.jsonl': '{"a":"x","b":"y","s":1.5}\n\n{"s":2,"a":"z","b":"w"}\n' });
    const info = await load({ mapping: { text: 'a', pair: 'b', label: 's' } });
    expect(info.kind).toBe('regression');
    expect(await rows()).toEqual([
      { text: 'x', pair: 'y', label: 1.5 },
      { text: 'z', pair: 'w', label: 2 },
    ]);
  });

  it('takes the columns of a headerless file from a sibling with a header', async () => {
    write({ 'train.tsv': 'index\tquestion\tsentence\tlabel\n0\tq\ts\ty\n1\tq2\ts2\tn\n', 'dev.tsv': '7\ta\tb\ty\n' });
    expect((await load()).kind).toBe('pair-classification');
    expect(await rows('dev')).toEqual([{ text: 'a', pair: 'b', label: 'y' }]);
  });

  it('reads gzip and zip like plain files', async () => {
    write({
      'train.tsv.gz': gzipSync('text\tlabel\na\tx\nb\ty\n'),
      'data.zip': zip({ 'in/test.tsv': 'text\tlabel\nc\tx\n' }),
    });
    const info = await load({ source: [{ path: inFolder('train.tsv.gz') }, { path: inFolder('data.zip') }] });
    expect(counts(info)).toEqual({ train: 2, test: 1 });
  });

  it('takes uploads under other names, with the split stated', async () => {
    write({ 'upload-1': 'text,label\na,x\nb,y\n', 'upload-2': 'text,label\nc,x\n' });
    const source = [
      { path: inFolder('upload-1'), name: 'any.csv', split: 'train' },
      { path: inFolder('upload-2'), name: 'thing.csv', split: 'test' },
    ] as const;
    expect(counts(await load({ source }))).toEqual({ train: 2, test: 1 });
  });

  it('keeps to the class order that the source states, sorts numbers by value', async () => {
    write({
      'd.json': JSON.stringify({
        labels: ['b', 'a'],
        train: [
          ['x', 'a'],
          ['y', 'b'],
        ],
      }),
    });
    expect((await load()).labels).toEqual(['b', 'a']);
    rmSync(join(folder), { recursive: true });
    write({ 'd.csv': 'label,text\n10,a\n9,b\n' });
    expect((await load()).labels).toEqual(['9', '10']);
  });

  it('reads latin-1 with a warning and UTF-16 by its mark', async () => {
    write({ 'a.txt': Buffer.from('1 caf\xe9\n0 na\xefve\n', 'latin1') });
    const info = await load({ format: 'label-text' });
    expect(info.warnings[0]).toMatch('read as latin-1');
    expect((await rows()).map(({ text }) => text)).toEqual(['café', 'naïve']);
    rmSync(join(folder), { recursive: true });
    write({ 'a.csv': Buffer.from('\uFEFFtext,label\né,x\nü,y\n', 'utf16le') });
    await load();
    expect((await rows()).map(({ text }) => text)).toEqual(['é', 'ü']);
  });

  it('warns of empty texts, duplicates, imbalance and labels unseen in training', async () => {
    const train = Array.from({ length: 20 }, (_, i) => `text ${i},a\n`).join('');
    write({ 'train.csv': `text,label\n${train}text 0,a\n,b\n`, 'test.csv': 'text,label\nnew,c\n' });
    expect((await load()).warnings).toEqual([
      '1 of 22 train texts are empty.',
      '1 of 22 train rows occur more than once.',
      '1 test rows have labels that the train split lacks (c); they count as errors.',
      'Classes are imbalanced: b has 1 training rows, a 21.',
    ]);
  });
});

describe('importDataset: stratified splits', () => {
  const many = Array.from({ length: 1000 }, (_, i) => `text ${i},${i % 10 === 0 ? 'rare' : 'common'}\n`).join('');

  it('keeps the shares of classes, every row once, and depends on the seed alone', async () => {
    write({ 'all.csv': `text,label\n${many}` });
    const splits = { dev: 0.1, test: 0.2 };
    const info = await load({ splits, seed: 3 });
    expect(counts(info)).toEqual({ train: 700, dev: 100, test: 200 });
    expect(info.splits.dev?.labels).toEqual({ common: 90, rare: 10 });
    expect(info.splits.test?.labels).toEqual({ common: 180, rare: 20 });
    const all = [...(await rows()), ...(await rows('dev')), ...(await rows('test'))].map(({ text }) => text);
    expect(new Set(all).size).toBe(1000);
    const [dev] = [await rows('dev')];
    for (const [seed, same] of [
      [3, true],
      [4, false],
    ] as const) {
      rmSync(out(), { recursive: true });
      await load({ splits, seed });
      expect(JSON.stringify(await rows('dev')) === JSON.stringify(dev)).toBe(same);
    }
  });

  it.each([
    [{ dev: 0 }, 'dataset.split'],
    [{ dev: 0.5, test: 0.5 }, 'dataset.split'],
  ])('refuses shares %j', async (splits, code) => {
    write({ 'all.csv': `text,label\n${many}` });
    await expect(load({ splits })).rejects.toMatchObject({ code });
  });

  it('refuses to cut a split that the data already has', async () => {
    write({ 'train.csv': `text,label\n${many}`, 'dev.csv': 'text,label\na,rare\n' });
    await expect(load({ splits: { dev: 0.1 } })).rejects.toMatchObject({
      code: 'dataset.split',
      details: { field: 'splits.dev' },
    });
  });
});

describe('importDataset: bad input', () => {
  const good = 'text,label\na,x\nb,y\n';
  const cases: readonly (readonly [
    string,
    Readonly<Record<string, string | Uint8Array>>,
    Partial<ImportOptions>,
    object,
  ])[] = [
    ['no rows', { 'a.csv': 'text,label\n' }, {}, { code: 'dataset.empty', details: { file: 'a.csv' } }],
    ['an empty file', { 'a.csv': '' }, {}, { code: expect.stringMatching(/^dataset\.(empty|column)$/) }],
    ['one label', { 'a.csv': 'text,label\na,x\nb,x\n' }, {}, { code: 'dataset.one-label' }],
    [
      'an unknown column',
      { 'a.csv': good },
      { mapping: { text: 'body' } },
      {
        code: 'dataset.column',
        message: expect.stringContaining('text, label'),
        details: { field: 'mapping.text', columns: ['text', 'label'] },
      },
    ],
    [
      'a column beyond the row',
      { 'a.csv': good },
      { mapping: { label: 2 } },
      { code: 'dataset.column', details: { field: 'mapping.label' } },
    ],
    [
      'columns that cannot be told',
      { 'a.csv': 'foo,bar,label\n1,2,x\n' },
      {},
      { code: 'dataset.column', message: expect.stringContaining('foo, bar, label') },
    ],
    [
      'a ragged row',
      { 'a.tsv': 'text\tlabel\na\tx\nb\ty\tz\n' },
      {},
      { code: 'dataset.ragged', details: { file: 'a.tsv', line: 3 } },
    ],
    ['a ragged CSV row', { 'a.csv': 'text,label\na,x\nb\n' }, {}, { code: 'dataset.ragged', details: { line: 3 } }],
    [
      'an unclosed quote',
      { 'a.csv': 'text,label\n"a,x\nb,y\n' },
      {},
      { code: 'dataset.csv', details: { file: 'a.csv' } },
    ],
    [
      'a row without label',
      { 'a.csv': 'text,label\na,x\nb,\nc,y\n' },
      {},
      { code: 'dataset.label-missing', details: { line: 3 } },
    ],
    [
      'a label that is no number',
      { 'a.csv': 'text,label\na,0.5\nb,high\n' },
      { kind: 'regression' },
      { code: 'dataset.label-number', details: { line: 3 } },
    ],
    [
      'damaged UTF-8',
      { 'a.csv': Buffer.concat([Buffer.from('text,label\né,x\n'), Buffer.from([0xff, 0x2c, 0x79, 0x0a])]) },
      {},
      { code: 'dataset.encoding', details: { line: 3 } },
    ],
    [
      'bytes against the stated encoding',
      { 'a.csv': Buffer.from('text,label\n\xe9,x\n', 'latin1') },
      { mapping: { encoding: 'utf-8' } },
      { code: 'dataset.encoding' },
    ],
    ['a binary file', { 'a.csv': Buffer.from([0x50, 0, 1, 2]) }, {}, { code: 'dataset.binary' }],
    [
      'a 1 MB line',
      { 'a.tsv': `text\tlabel\n${'x'.repeat(2 ** 20)}\ty\n` },
      {},
      { code: 'dataset.line-too-long', details: { line: 2 } },
    ],
    [
      'a 1 MB CSV record',
      { 'a.csv': `text,label\n"${'x\n'.repeat(2 ** 20)}",y\n` },
      {},
      { code: 'dataset.line-too-long' },
    ],
    [
      'broken JSON',
      { 'a.jsonl': '{"text":"a","label":"x"}\n{"text":\n' },
      {},
      { code: 'dataset.json', details: { line: 2 } },
    ],
    ['JSON without rows', { 'a.json': '{"x":1}' }, {}, { code: 'dataset.json' }],
    ['broken YAML', { 'a.yml': 'nlu:\n- intent: "x\n' }, {}, { code: 'dataset.yaml' }],
    [
      'uneven parallel files',
      { 'train/seq.in': 'a\nb\n', 'train/label': 'x\n' },
      {},
      { code: 'dataset.parallel', details: { line: 2 } },
    ],
    ['two data sets', { 'x.csv': good, 'y.csv': good }, {}, { code: 'dataset.ambiguous' }],
    [
      'a selection of nothing',
      { 'x.csv': good },
      { select: 'z' },
      { code: 'dataset.no-file', details: { field: 'select' } },
    ],
    [
      'damaged gzip',
      { 'a.csv.gz': Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8]) },
      {},
      { code: 'dataset.archive' },
    ],
    [
      'a gzip bomb',
      { 'a.tsv.gz': gzipSync(Buffer.alloc(2 ** 26, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n')) },
      {},
      { code: 'dataset.archive-too-large' },
    ],
    [
      'a zip bomb',
      { 'a.zip': zip({ 'a.tsv': 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n'.repeat(2 ** 20) }) },
      {},
      { code: 'dataset.archive-too-large' },
    ],
    ['a zip whose names leave it', { 'a.zip': zip({ '../evil.tsv': good }) }, {}, { code: 'dataset.archive' }],
  ];

  it.each(cases)('%s', async (_, files, options, expected) => {
    write(files);
    await expect(load(options)).rejects.toMatchObject(expected);
    expect(readdirSync(out())).toEqual([]);
    expect(existsSync(join(folder, 'evil.tsv'))).toBe(false);
  });

  it('a missing file', async () => {
    await expect(load({ source: inFolder('none.csv') })).rejects.toMatchObject({ code: 'dataset.no-file' });
  });

  it('a folder that is in use', async () => {
    write({ 'a.csv': good });
    mkdirSync(out());
    writeFileSync(join(out(), 'mine.txt'), 'keep');
    await expect(load()).rejects.toMatchObject({ code: 'dataset.folder' });
    expect(readdirSync(out())).toEqual(['mine.txt']);
  });

  it('a cancelled import', async () => {
    write({ 'a.csv': good });
    await expect(load({ signal: AbortSignal.abort() })).rejects.toMatchObject({ kind: 'cancelled' });
  });

  it('links in a folder are not followed', async () => {
    write({ 'a.csv': good });
    execFileSync('ln', ['-s', '/etc/passwd', inFolder('train.txt')]);
    expect(counts(await load())).toEqual({ train: 2 });
  });
});

/** A zip archive of deflated files (PKWARE APPNOTE 6.3, sections 4.3.7 and 4.3.12), without checksums. */
function zip(files: Readonly<Record<string, string>>): Uint8Array {
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const data = deflateRawSync(content);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(Buffer.byteLength(content), 18);
    common.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\u0003\u0004'), common, Buffer.from(name), data]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    centrals.push(
      Buffer.concat([Buffer.from('PK\u0001\u0002'), Buffer.from([20, 0]), common, tail, Buffer.from(name)]),
    );
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(centrals);
  const end = Buffer.alloc(22);
  end.write('PK\u0005\u0006');
  end.writeUInt16LE(centrals.length, 8);
  end.writeUInt16LE(centrals.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}
