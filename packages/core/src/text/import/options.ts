import type { DatasetKind, Split } from '../dataset';
import type { ImportFile } from './collect';
import type { Encoding } from './encoding';

/** Forms in which data sets come. */
export const FORMATS = [
  /** Comma- or otherwise separated values with quotes. */
  'csv',
  /** Tab-separated values; quotes are plain characters, as in GLUE. */
  'tsv',
  /** One JSON object a line. */
  'jsonl',
  /** One JSON value: rows, or rows by split; WebNLG and DART entries. */
  'json',
  /** Rasa NLU training data, YAML. */
  'rasa',
  /** `label text` a line. */
  'label-text',
  /** `COARSE:fine text` a line (TREC). */
  'trec',
  /** `seq.in` and `label` files side by side (SNIPS, ATIS). */
  'parallel',
  /** One unlabelled text a line. */
  'lines',
] as const;
export type Format = (typeof FORMATS)[number];

/** A column by name (needs a header) or by place, counted from 0. */
export type Column = string | number;

/** Where the parts of an example are found. What is absent is worked out from the data. */
export interface Mapping {
  readonly text?: Column;
  readonly pair?: Column;
  readonly label?: Column;
  readonly target?: Column;
  readonly delimiter?: string;
  /** Whether the first row names the columns. */
  readonly header?: boolean;
  readonly encoding?: Encoding;
  /** Label of TREC's `COARSE:fine`; default `coarse`. */
  readonly level?: 'coarse' | 'fine';
  /** Keep the out-of-scope rows that CLINC150 lists apart; default false. */
  readonly outOfScope?: boolean;
}

export type SplitShares = Partial<Record<Exclude<Split, 'train'>, number>>;

/** What `splits: 'auto'` cuts off where it is missing. */
export const AUTO_SPLITS = { dev: 0.1, test: 0.2 } as const satisfies SplitShares;

export interface ImportOptions {
  readonly name: string;
  /** A file, an archive or a folder; or the files one by one. */
  readonly source: string | readonly ImportFile[];
  /**
   * What several files are: parts that all belong to the data set, or versions of it of which one is chosen by name.
   * Default: `versions` for a folder, `parts` for files given one by one.
   */
  readonly several?: 'parts' | 'versions';
  /** Only files whose name contains this, where a folder holds several data sets. */
  readonly select?: string;
  readonly format?: Format | 'auto';
  readonly mapping?: Mapping;
  readonly kind?: DatasetKind;
  /**
   * Shares of the train split to cut off, stratified by label, e.g. `{ dev: 0.1 }`. `auto`: of labelled data that lacks
   * them, {@link AUTO_SPLITS}, with a warning that says so. Default: none.
   */
  readonly splits?: SplitShares | 'auto';
  /** Of the stratified split; default 0. */
  readonly seed?: number;
  readonly signal?: AbortSignal;
  /** Hears now and then how many rows are done. */
  readonly onProgress?: (rows: number) => void;
}

/** A row as a reader gives it: labels are text still. */
export interface RawExample {
  readonly text: string;
  readonly pair?: string | undefined;
  /** Absent or empty: the row has none. */
  readonly label?: string | undefined;
  readonly target?: string | undefined;
  /** Where the row names its split itself. */
  readonly split?: Split | undefined;
  /** Line in the file, from 1; 0 where the format has no lines. */
  readonly line: number;
}
