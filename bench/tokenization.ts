/**
 * @file Speed of tokenization and of importing a data set, on one core, and the memory that many rows need.
 *
 *   node --require ./tools/register-typescript.cjs bench/tokenization.ts [rows, e.g. 10000000]
 *
 * Reads ../shared/data. With a number of rows, a file of that many made-up rows is imported, tokenized and cut into
 * batches as well; peak memory is that of this process, the tokenizing thread included.
 */
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { Batches, importDataset, loadTokenizer, tokenizeSplit } from '../packages/core/src/text';
import { libraryTokenizer } from '../packages/core/src/text/encoders/library';
import type { Tokenizer } from '../packages/core/src/text';

const shared = (...parts: string[]): string => join(__dirname, '..', '..', 'shared', 'data', ...parts);
const scratch = mkdtempSync(join(tmpdir(), 'modelpress-bench-'));

const seconds = async (work: () => unknown): Promise<number> => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};
const thousands = (value: number): string => `${Math.round(value / 1000)}k`;
const megabytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;

async function texts(...file: string[]): Promise<string[]> {
  const lines = (await readFile(shared(...file), 'utf8')).trimEnd().split('\n');
  return lines.map((line) => line.split('\t')[0]);
}

async function tokenization(): Promise<void> {
  console.log('vocabulary, texts: texts/s of a new tokenizer; of a used one; tokens/s; of @huggingface/tokenizers');
  const sets = [
    ['bert-base-uncased', 'sst2', 'train.tsv'],
    ['bert-base-uncased', 'unlabeled_wiki_sents', 'all_wiki_sents.txt'],
    ['bert-base-chinese', 'zh_waimai_10k', 'waimai_10k.csv'],
    ['gpt2', 'sst2', 'train.tsv'],
    ['roberta-base', 'unlabeled_wiki_sents', 'all_wiki_sents.txt'],
  ] as const;
  for (const [vocabulary, ...file] of sets) {
    const lines = await texts(...file);
    const tokenizer: Tokenizer = await loadTokenizer(shared('vocab', vocabulary));
    let tokens = 0;
    const run = (): void => {
      tokens = 0;
      for (const line of lines) tokens += tokenizer.encode(line, undefined, { maxLength: 64 }).ids.length;
    };
    const [first, second] = [await seconds(run), await seconds(run)];
    const library = libraryTokenizer(tokenizer.source);
    const sample = lines.slice(0, 10_000);
    const theirs = await seconds(() => sample.forEach((line) => library.encode(line, { add_special_tokens: true })));
    console.log(
      `${vocabulary}, ${file[0]} (${lines.length}): ${thousands(lines.length / first)}; ${thousands(lines.length / second)}; ` +
        `${thousands(tokens / second)}; ${thousands(sample.length / theirs)}`,
    );
  }
}

async function pipeline(name: string, source: string): Promise<void> {
  const folder = join(scratch, 'data');
  rmSync(folder, { recursive: true, force: true });
  let rows = 0;
  const imported = await seconds(async () => {
    const info = await importDataset({ name, source }, folder);
    rows = Object.values(info.splits).reduce((sum, split) => sum + split.rows, 0);
    for (const [split, { rows: count }] of Object.entries(info.splits)) console.log(`  ${split}: ${count} rows`);
  });
  const tokenizer = await loadTokenizer(shared('vocab', 'bert-base-uncased'));
  const { rows: tokens, statistics } = await tokenizeTimed(folder, tokenizer);
  let padded = 0;
  let count = 0;
  const batched = await seconds(() => {
    const { maxLength, padId } = { maxLength: 64, padId: tokenizer.padId };
    const inputs = ['input_ids', 'attention_mask', 'token_type_ids'];
    const batches = new Batches(tokens, { batchSize: 32, maxLength, padId, inputs, labels: 'class', shuffleSeed: 1 });
    const epoch = batches.epoch(0);
    count = epoch.count;
    padded = epoch.sequences.reduce((sum, sequence) => sum + sequence * 32, 0);
    for (let i = 0; i < epoch.count; i += Math.ceil(epoch.count / 1000)) epoch.batch(i);
  });
  tokens.close();
  console.log(
    `${name}: import ${thousands(rows / imported)} rows/s; ${count} batches planned in ${batched.toFixed(2)} s, ` +
      `${((100 * statistics.tokens) / padded).toFixed(1)} % of their positions are tokens; ` +
      `peak memory ${megabytes(process.resourceUsage().maxRSS * 1024)}`,
  );
}

async function tokenizeTimed(folder: string, tokenizer: Tokenizer) {
  const start = performance.now();
  const split = await tokenizeSplit(folder, 'train', tokenizer, { folder: join(scratch, 'tokens'), maxLength: 64 });
  const { rows } = split.statistics;
  console.log(
    `  tokenized in a thread: ${thousands((1000 * rows) / (performance.now() - start))} rows/s from disk to disk`,
  );
  return split;
}

/** Rows of 3 to 12 words of a made-up vocabulary and two labels. */
async function writeRows(path: string, rows: number): Promise<void> {
  const words = (await texts('unlabeled_wiki_sents', 'all_wiki_sents.txt')).slice(0, 2000).join(' ').split(' ');
  const file = createWriteStream(path);
  file.write('text\tlabel\n');
  for (let row = 0; row < rows; row += 10_000) {
    let block = '';
    for (let i = row; i < Math.min(rows, row + 10_000); i++) {
      const start = (i * 7919) % (words.length - 12);
      block += `${words.slice(start, start + 3 + (i % 10)).join(' ')} ${i}\t${i % 2}\n`;
    }
    if (!file.write(block)) await once(file, 'drain');
  }
  file.end();
  await finished(file);
}

async function main(): Promise<void> {
  try {
    await tokenization();
    await pipeline('sst2', shared('sst2'));
    const rows = Number(process.argv[2] ?? 0);
    if (rows > 0) {
      const path = join(scratch, 'many.tsv');
      await writeRows(path, rows);
      await pipeline(`${rows} made-up rows`, path);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

void main();
