/** @file Texts of a data set as rows to train on and rows to hold out. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '../bundle';
import { invalid } from '../errors';
import type { StageContext } from '../stages/stage';
import { Batches, tokenizeSplit, TokenRows } from '../text';
import type { DatasetInfo, Split, Tokenizer } from '../text';
import { packTexts, separateTexts } from '../text/pack';
import type { TextMarks } from '../text/pack';
import { TokenRowsWriter } from '../text/token-rows';
import { Random } from '../train/random';
import type { PretrainConfig } from './config';

/** Batches of one language model. */
export interface TextRows {
  readonly train: Batches;
  readonly heldOut: Batches;
  readonly warnings: readonly string[];
}

/** Where texts come from and how they are cut. */
interface Cutting {
  readonly context: Pick<StageContext, 'checkpoints' | 'seed' | 'signal'> & { readonly dataset: string };
  readonly config: PretrainConfig;
  readonly tokenizer: Tokenizer;
  readonly inputs: readonly string[];
  /** Tokens of a row at most. */
  readonly maxLength: number;
}

/**
 * Tokenizes the train split and holds out the dev split or, without one, some texts chosen by seed.
 * @throws `pretrain.too-little-text` when there is nothing to train on or to hold out
 */
export async function textRows(
  context: Cutting['context'],
  config: PretrainConfig,
  { inputs, maxLength: longest }: Manifest,
  tokenizer: Tokenizer,
  info: DatasetInfo,
): Promise<TextRows> {
  const maxLength = Math.min(config.maxLength, longest);
  const cutting: Cutting = { context, config, tokenizer, inputs, maxLength };
  const train = await tokenize('train', cutting);
  const hasDev = info.splits.dev !== undefined && info.splits.dev.rows > 0;
  const dev = hasDev ? await tokenize('dev', cutting) : undefined;
  const [own, held] = dev ? [train.numbers, dev.numbers] : divide(train.numbers, config.heldOut, context.seed);
  if (own.length === 0 || held.length === 0) {
    const message = `The data set "${info.name}" has too little text to train on some and hold out some.`;
    throw invalid('pretrain.too-little-text', message, { field: 'data' });
  }
  const rows = {
    train: cutRows('train', train.rows, own, cutting),
    heldOut: cutRows('held-out', (dev ?? train).rows, held, cutting),
  };
  for (const texts of dev ? [train, dev] : [train]) {
    texts.rows.close();
    rmSync(texts.folder, { recursive: true });
  }
  const lowered =
    maxLength < config.maxLength ? [`maxLength was lowered to ${maxLength}, the most that the model takes.`] : [];
  return {
    train: batchesOf(rows.train, cutting, context.seed),
    heldOut: batchesOf(rows.heldOut, cutting),
    warnings: [...lowered, ...train.warnings, ...(dev?.warnings ?? [])],
  };
}

/** Tokenized texts of a split, with the numbers of those that are not empty. */
interface Texts {
  readonly rows: TokenRows;
  readonly numbers: Uint32Array;
  readonly folder: string;
  readonly warnings: readonly string[];
}

async function tokenize(split: Split, { context, config, tokenizer, maxLength }: Cutting): Promise<Texts> {
  const { dataset, signal, checkpoints } = context;
  const folder = join(checkpoints, `texts-${split}`);
  const options = { folder, signal, maxLength: config.pack ? Infinity : maxLength };
  const { rows, statistics } = await tokenizeSplit(dataset, split, tokenizer, options);
  const marks = tokenizer.encode('').ids.length;
  const numbers = Uint32Array.from({ length: rows.rows }, (_, row) => row).filter((row) => rows.lengths[row] > marks);
  const cut = statistics.truncatedRows / Math.max(1, statistics.rows);
  const warnings =
    cut > 0.01 ? [`${(100 * cut).toFixed(1)} % of the ${split} texts are longer than ${maxLength} tokens; cut.`] : [];
  return { rows, numbers, folder, warnings };
}

function cutRows(
  name: string,
  texts: TokenRows,
  numbers: Uint32Array,
  { context, config, tokenizer, maxLength }: Cutting,
): TokenRows {
  const cut = config.pack ? packTexts : separateTexts;
  const unmarked = withoutStart(texts, numbers, tokenizer.special.cls);
  return writeRows(join(context.checkpoints, `rows-${name}`), cut(unmarked, maxLength, marksOf(tokenizer)));
}

const batchesOf = (rows: TokenRows, { config, tokenizer, inputs, maxLength }: Cutting, shuffleSeed?: number): Batches =>
  new Batches(rows, {
    batchSize: Math.min(config.batchSize, rows.rows),
    maxLength,
    padId: tokenizer.padId,
    inputs,
    labels: 'none',
    ...(config.pack && { buckets: [] }),
    ...(shuffleSeed !== undefined && { shuffleSeed }),
  });

function marksOf({ special }: Tokenizer): TextMarks {
  const end = special.eos ?? special.sep;
  if (end !== undefined) return { start: special.cls, end };
  throw invalid('tokenizer.special-token', 'Language modelling needs an end-of-text token, which the tokenizer lacks.');
}

/** Row numbers to train on and to hold out, each in order. */
function divide(rows: Uint32Array, share: number, seed: number): [own: Uint32Array, held: Uint32Array] {
  const shuffled = new Random(seed).shuffle(rows);
  const held = Math.max(1, Math.round(share * shuffled.length));
  return [shuffled.slice(held).sort(), shuffled.slice(0, held).sort()];
}

/** The ids of texts without the start token. */
function* withoutStart(rows: TokenRows, numbers: Uint32Array, start: number | undefined): Generator<Int32Array> {
  for (const number of numbers) {
    const ids = rows.ids(number);
    yield ids[0] === start ? ids.subarray(1) : ids;
  }
}

function writeRows(folder: string, rows: Iterable<number[]>): TokenRows {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const writer = new TokenRowsWriter(folder);
  try {
    for (const ids of rows) writer.push(ids, ids.length, NaN);
  } finally {
    writer.close();
  }
  return new TokenRows(folder);
}
