import { mkdirSync, rmSync } from 'node:fs';
import type { Example } from './dataset';
import { TokenRowsWriter } from './token-rows';
import type { Tokenizer } from './tokenizer';

/** What tokenization of a split found. */
export interface TokenStatistics {
  readonly rows: number;
  readonly tokens: number;
  /** Rows that lost tokens to the maximum length. */
  readonly truncatedRows: number;
  /** Tokens that stand for something outside the vocabulary. */
  readonly unknownTokens: number;
  /** Labels of rows that the given list of labels does not have; rows carry them as indices after that list. */
  readonly unseenLabels: readonly string[];
}

export interface RowOptions {
  readonly maxLength: number;
  /** Label names in class order; a row's label becomes its index. Not for regression. */
  readonly labels?: readonly string[];
}

const REPORT_EVERY = 10_000;

/** Tokenizes examples into a folder of token files, which is emptied first. `onRows` hears of progress now and then. */
export async function tokenizeRows(
  examples: AsyncIterable<Example>,
  tokenizer: Tokenizer,
  { maxLength, labels = [] }: RowOptions,
  folder: string,
  onRows: (rows: number) => void,
): Promise<TokenStatistics> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const writer = new TokenRowsWriter(folder);
  const classes = new Map(labels.map((label, index) => [label, index]));
  const unknown = tokenizer.special.unk;
  let rows = 0;
  let tokens = 0;
  let truncatedRows = 0;
  let unknownTokens = 0;
  try {
    for await (const { text, pair, target, label } of examples) {
      const { ids, firstLength, truncated } =
        target === undefined
          ? tokenizer.encode(text, pair, { maxLength })
          : tokenizer.encodeGeneration(text, target, { maxLength });
      writer.push(ids, firstLength, labelValue(label, classes));
      tokens += ids.length;
      if (truncated) truncatedRows++;
      for (const id of ids) if (id === unknown) unknownTokens++;
      if (++rows % REPORT_EVERY === 0) onRows(rows);
    }
  } finally {
    writer.close();
  }
  return { rows, tokens, truncatedRows, unknownTokens, unseenLabels: [...classes.keys()].slice(labels.length) };
}

/** The number for a label; a class that is not listed yet gets the next index. */
function labelValue(label: string | number | undefined, classes: Map<string, number>): number {
  if (label === undefined) return Number.NaN;
  if (typeof label === 'number') return label;
  const known = classes.get(label);
  if (known !== undefined) return known;
  const index = classes.size;
  classes.set(label, index);
  return index;
}
