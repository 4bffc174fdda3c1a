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

/**
 * Tokenizes the train split and holds out the dev split or, without one, some texts chosen by seed.
 * @throws `pretrain.too-little-text` when there is nothing to hold out
 */
export async function textRows(
  { dataset, checkpoints, seed, signal }: Pick<StageContext, 'checkpoints' | 'seed' | 'signal'> & { dataset: string },
  config: PretrainConfig,
  manifest: Manifest,
  tokenizer: Tokenizer,
  info: DatasetInfo,
): Promise<TextRows> {
  const maxLength = Math.min(config.maxLength, manifest.maxLength);
  const warnings: string[] = [];
  if (maxLength < config.maxLength)
    warnings.push(`maxLength was lowered to ${maxLength}, the most that the model takes.`);
  const tokenize = async (split: Split): Promise<TokenRows> => {
    const folder = join(checkpoints, `texts-${split}`);
    const options = { folder, signal, maxLength: config.pack ? Infinity : maxLength };
    const { rows, statistics } = await tokenizeSplit(dataset, split, tokenizer, options);
    const cut = statistics.truncatedRows / Math.max(1, statistics.rows);
    if (cut > 0.01)
      warnings.push(`${(100 * cut).toFixed(1)} % of the ${split} texts are longer than ${maxLength} tokens; cut.`);
    return rows;
  };
  const cutRows = (name: string, source: TokenRows, numbers: Uint32Array): TokenRows => {
    const rows = config.pack ? packTexts : separateTexts;
    const texts = textsOf(source, numbers, tokenizer.special.cls);
    return writeRows(join(checkpoints, `rows-${name}`), rows(texts, maxLength, marksOf(tokenizer)));
  };
  const batchesOf = (rows: TokenRows, shuffleSeed?: number): Batches =>
    new Batches(rows, {
      batchSize: Math.min(config.batchSize, rows.rows),
      maxLength,
      padId: tokenizer.padId,
      inputs: manifest.inputs,
      labels: 'none',
      ...(config.pack && { buckets: [] }),
      ...(shuffleSeed !== undefined && { shuffleSeed }),
    });

  const train = await tokenize('train');
  const hasDev = info.splits.dev !== undefined && info.splits.dev.rows > 0;
  const dev = hasDev ? await tokenize('dev') : undefined;
  const marks = tokenizer.encode('').ids.length;
  const texts = nonEmpty(train, marks);
  const [own, held] = dev ? [texts, nonEmpty(dev, marks)] : divide(texts, config.heldOut, seed);
  if (own.length === 0 || held.length === 0) {
    const message = `The data set "${info.name}" has too little text to train on some and hold out some.`;
    throw invalid('pretrain.too-little-text', message, { field: 'data' });
  }
  const rows = { train: cutRows('train', train, own), heldOut: cutRows('held-out', dev ?? train, held) };
  for (const source of [train, dev]) source?.close();
  for (const split of ['train', 'dev']) rmSync(join(checkpoints, `texts-${split}`), { recursive: true, force: true });
  return { train: batchesOf(rows.train, seed), heldOut: batchesOf(rows.heldOut), warnings };
}

function marksOf({ special }: Tokenizer): TextMarks {
  const end = special.eos ?? special.sep;
  if (end !== undefined) return { start: special.cls, end };
  throw invalid('tokenizer.special-token', 'Language modelling needs an end-of-text token, which the tokenizer lacks.');
}

/** Numbers of rows with more tokens than an empty text has. */
const nonEmpty = ({ rows, lengths }: TokenRows, marks: number): Uint32Array =>
  Uint32Array.from({ length: rows }, (_, row) => row).filter((row) => lengths[row] > marks);

/** Row numbers to train on and to hold out, each in order. */
function divide(rows: Uint32Array, share: number, seed: number): [own: Uint32Array, held: Uint32Array] {
  const shuffled = new Random(seed).shuffle(rows);
  const held = Math.max(1, Math.round(share * shuffled.length));
  return [shuffled.slice(held).sort(), shuffled.slice(0, held).sort()];
}

/** The ids of texts without the start token. */
function* textsOf(rows: TokenRows, numbers: Uint32Array, start: number | undefined): Generator<Int32Array> {
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
