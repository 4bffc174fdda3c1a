import { invalid, unsupported } from '../errors';
import type { HostTensor } from '../runtime/runtime';
import { bucketsFor, planBatches } from './length-buckets';
import type { BatchPlan } from './length-buckets';
import type { TokenRows } from './token-rows';

/** Inputs of a model that are made from token ids. */
const TOKEN_INPUTS = ['input_ids', 'attention_mask', 'token_type_ids'] as const;
type TokenInput = (typeof TOKEN_INPUTS)[number];

/** Rows of equal shape, ready to be fed. B = batch size, S = sequence length. */
export interface Batch {
  /** int64 [B, S] each. */
  readonly inputs: Readonly<Record<string, HostTensor>>;
  /** Class indices, int64 [B], or regression values, float32 [B]; 0 where a row has no label. Absent without labels. */
  readonly labels: HostTensor | undefined;
  /** float32 [B]: 1, or 0 for rows that only fill up the last batch. */
  readonly weights: HostTensor;
  /** Row numbers in the split of the leading, real rows: B of them, fewer in a filled-up batch. */
  readonly rows: Uint32Array;
  readonly sequence: number;
}

export interface BatchOptions {
  readonly batchSize: number;
  /** Longest sequence that the model takes. */
  readonly maxLength: number;
  readonly padId: number;
  /** Names of the model's inputs. */
  readonly inputs: readonly string[];
  /** What the labels are; `none` for unlabelled rows. */
  readonly labels: 'class' | 'value' | 'none';
  /** Sequence lengths to pad to; default `DEFAULT_BUCKETS`. */
  readonly buckets?: readonly number[];
  /** Shuffle rows and batches anew each epoch; without it the order of rows is kept within a bucket. */
  readonly shuffleSeed?: number;
}

/**
 * Cuts token rows into batches of one size and a few sequence lengths. Any batch of any epoch can be made by itself,
 * so a run resumes where it stopped.
 */
export class Batches {
  /** Sequence lengths that occur, each one graph to compile. */
  readonly buckets: readonly number[];
  readonly #inputs: readonly TokenInput[];

  constructor(
    readonly source: TokenRows,
    readonly options: BatchOptions,
  ) {
    const { batchSize, maxLength, buckets, inputs } = options;
    if (!Number.isInteger(batchSize) || batchSize < 1) {
      throw invalid('batches.size', `The batch size must be a whole number of at least 1, not ${batchSize}.`, {
        field: 'batchSize',
      });
    }
    if (source.longest > maxLength) {
      throw invalid('batches.length', `A row has ${source.longest} tokens; the model takes ${maxLength}.`, {
        field: 'maxLength',
      });
    }
    this.buckets = bucketsFor(source.longest, maxLength, buckets);
    this.#inputs = inputs.map(tokenInput);
  }

  /** The batches of an epoch, counted from 0. */
  epoch(epoch: number): Epoch {
    const { batchSize, shuffleSeed } = this.options;
    const order = shuffleSeed === undefined ? undefined : { seed: shuffleSeed, epoch };
    const plan = planBatches(this.source.lengths, batchSize, this.buckets, order);
    return new Epoch(this.source, this.options, this.#inputs, plan);
  }
}

/** The batches of one epoch. */
export class Epoch {
  readonly count: number;
  /** Sequence length of each batch. */
  readonly sequences: readonly number[];

  constructor(
    private readonly source: TokenRows,
    private readonly options: BatchOptions,
    private readonly inputs: readonly TokenInput[],
    private readonly plan: BatchPlan,
  ) {
    this.count = plan.batches.length;
    this.sequences = plan.sequences;
  }

  /** Makes one batch, 0 <= index < count. */
  batch(index: number): Batch {
    const { batchSize, padId } = this.options;
    const rows = this.plan.batches[index];
    const sequence = this.plan.sequences[index];
    const ids = int64(batchSize, sequence);
    const mask = int64(batchSize, sequence);
    const types = int64(batchSize, sequence);
    for (let i = 0; i < batchSize; i++) {
      const start = i * sequence;
      let length = 0;
      if (i < rows.length) {
        const tokens = this.source.ids(rows[i]);
        length = tokens.length;
        const first = this.source.firstLengths[rows[i]];
        for (let k = 0; k < length; k++) {
          ids.low[2 * (start + k)] = tokens[k];
          mask.low[2 * (start + k)] = 1;
          if (k >= first) types.low[2 * (start + k)] = 1;
        }
      }
      for (let k = length; k < sequence; k++) ids.low[2 * (start + k)] = padId;
      // A row without any token would make attention divide by nothing: it attends to its first padding token.
      if (length === 0) mask.low[2 * start] = 1;
    }
    const tensors = { input_ids: ids.tensor, attention_mask: mask.tensor, token_type_ids: types.tensor };
    return {
      inputs: Object.fromEntries(this.inputs.map((name) => [name, tensors[name]])),
      labels: this.#labels(rows),
      weights: float32(Float32Array.from({ length: batchSize }, (_, i) => (i < rows.length ? 1 : 0))),
      rows,
      sequence,
    };
  }

  #labels(rows: Uint32Array): HostTensor | undefined {
    const { labels: kind, batchSize } = this.options;
    if (kind === 'none') return undefined;
    const values = Float32Array.from({ length: batchSize }, (_, i) => {
      const label = i < rows.length ? this.source.labels[rows[i]] : 0;
      return Number.isNaN(label) ? 0 : label;
    });
    if (kind === 'value') return float32(values);
    return { dtype: 'int64', dims: [batchSize], data: BigInt64Array.from(values, BigInt) };
  }
}

function tokenInput(name: string): TokenInput {
  const known = TOKEN_INPUTS.find((input) => input === name);
  if (known === undefined) {
    throw unsupported('batches.input', `The model has an input ${name}, which cannot be made from text.`, {
      field: 'inputs',
    });
  }
  return known;
}

/** An int64 matrix of zeros and its 32-bit halves, low half first: small positive numbers are written without BigInt. */
function int64(rows: number, columns: number): { tensor: HostTensor; low: Int32Array } {
  const data = new BigInt64Array(rows * columns);
  return { tensor: { dtype: 'int64', dims: [rows, columns], data }, low: new Int32Array(data.buffer) };
}

const float32 = (data: Float32Array): HostTensor => ({ dtype: 'float32', dims: [data.length], data });
