/** @file What a DAN is made of. Deep averaging network (Iyyer et al. 2015), sparse student (Ye et al. 2022). */
import type { PerfectHash } from './perfect-hash';

/** How the embeddings of a text's n-grams become one vector. A text without known n-grams gives zeros. */
export type Pooling = 'mean' | 'sum' | 'max' | 'attentive';

/** The embedding table; rows are slots of the perfect hash. */
export type Table =
  | { readonly type: 'float32'; readonly rows: Float32Array }
  /** Row values times the scale of their column. */
  | { readonly type: 'int8'; readonly rows: Int8Array; readonly scales: Float32Array };

/**
 * logits = W2 relu(W1 pool(rows) + b1) + b2. W1 is [dimension, hidden], W2 [hidden, labels], row-major.
 */
export interface DanModel {
  readonly labels: readonly string[];
  readonly minOrder: number;
  readonly maxOrder: number;
  readonly dimension: number;
  readonly hidden: number;
  readonly pooling: Pooling;
  /** [dimension], of attentive pooling alone: rows are weighed by softmax(row . attention). */
  readonly attention?: Float32Array;
  readonly hash: PerfectHash;
  readonly table: Table;
  readonly w1: Float32Array;
  readonly b1: Float32Array;
  readonly w2: Float32Array;
  readonly b2: Float32Array;
}
