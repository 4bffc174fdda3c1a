/** @file What a masked language model has to predict: tokens of a batch that are hidden, and their positions. */
import { invalid } from '../errors';
import type { HostTensor } from '../runtime/runtime';
import { Random, streamKey } from '../train/random';
import type { Batch } from './batches';
import type { Tokenizer } from './tokenizer';

/** Label of positions that are not predicted. */
export const IGNORED_LABEL = -100;

/** Which tokens are predicted, and what stands in their place. */
export interface Masking {
  /** Share of the tokens that is predicted. */
  readonly share: number;
  /** Share of those that is shown as the mask token. */
  readonly masked: number;
  /** Share of those that is shown as a random token; the rest is shown as it is. */
  readonly random: number;
}

/** As BERT and RoBERTa were trained (Devlin et al. 2019, section 3.1). */
export const DEFAULT_MASKING: Masking = { share: 0.15, masked: 0.8, random: 0.1 };

/** A batch with hidden tokens. P = the largest number of tokens that a batch of this shape may have to predict. */
export interface MaskedBatch {
  /** The batch's inputs, `input_ids` with hidden tokens. */
  readonly inputs: Readonly<Record<string, HostTensor>>;
  /** int64 [P]: positions in the batch, row by row; 0 where there is none. */
  readonly positions: HostTensor;
  /** int64 [P]: the tokens that belong there, `IGNORED_LABEL` where there is none. */
  readonly labels: HostTensor;
  /** Tokens to predict. */
  readonly count: number;
}

/** Hides tokens of batches, differently in each stream: RoBERTa's dynamic masking (Liu et al. 2019, section 4.1). */
export class TokenMasker {
  readonly #specials: ReadonlySet<number>;

  /** @throws ModelpressError `tokenizer.special-token` when the tokenizer has no mask token */
  static of(tokenizer: Tokenizer, masking: Masking): TokenMasker {
    const { mask } = tokenizer.special;
    if (mask !== undefined) return new TokenMasker(tokenizer, mask, masking);
    throw invalid('tokenizer.special-token', 'The tokenizer has no mask token, which masked language models need.', {
      file: 'tokenizer_config.json',
      field: 'mask_token',
    });
  }

  /** @param maskId the mask token */
  constructor(
    private readonly tokenizer: Pick<Tokenizer, 'special' | 'padId' | 'vocabularySize'>,
    private readonly maskId: number,
    private readonly masking: Masking,
  ) {
    const { unk: _, ...specials } = tokenizer.special;
    this.#specials = new Set([tokenizer.padId, ...Object.values(specials)]);
  }

  /**
   * Hides round(share x tokens) tokens of the whole batch; special tokens and padding stay.
   * @param stream numbers that fix the choice: equal ones give equal masks on every machine
   */
  mask({ inputs, rows, sequence }: Batch, stream: readonly number[]): MaskedBatch {
    const { share, masked, random: replaced } = this.masking;
    const random = new Random([...streamKey(...stream, 1), ...streamKey(...stream, 2)]);
    const given = inputs.input_ids;
    const ids = (given.data as BigInt64Array).slice();
    const capacity = Math.ceil(share * ids.length);
    const candidates = this.#candidates(ids.subarray(0, rows.length * sequence));
    const count = Math.min(capacity, Math.round(share * candidates.length));
    const chosen = choose(candidates, count, random);
    const positions = new BigInt64Array(capacity);
    const labels = new BigInt64Array(capacity).fill(BigInt(IGNORED_LABEL));
    chosen.forEach((position, i) => {
      positions[i] = BigInt(position);
      labels[i] = ids[position];
      const draw = random.uniform();
      if (draw < masked) ids[position] = BigInt(this.maskId);
      else if (draw < masked + replaced) ids[position] = BigInt(random.integer(this.tokenizer.vocabularySize));
    });
    const vector = (data: BigInt64Array): HostTensor => ({ dtype: 'int64', dims: [capacity], data });
    return {
      inputs: { ...inputs, input_ids: { ...given, data: ids } },
      positions: vector(positions),
      labels: vector(labels),
      count,
    };
  }

  /** Positions of tokens that may be hidden. */
  #candidates(ids: BigInt64Array): Uint32Array {
    const positions = new Uint32Array(ids.length);
    let count = 0;
    ids.forEach((id, position) => {
      if (!this.#specials.has(Number(id))) positions[count++] = position;
    });
    return positions.subarray(0, count);
  }
}

/** `count` of the items in ascending order, each equally likely (a shuffle that stops after `count`). */
function choose(items: Uint32Array, count: number, random: Random): Uint32Array {
  for (let i = 0; i < count; i++) {
    const other = i + random.integer(items.length - i);
    [items[i], items[other]] = [items[other], items[i]];
  }
  return items.subarray(0, count).sort();
}
