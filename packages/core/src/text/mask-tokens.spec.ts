import fc from 'fast-check';
import type { Batch } from './batches';
import { DEFAULT_MASKING, IGNORED_LABEL, TokenMasker } from './mask-tokens';

const [PAD, CLS, SEP, MASK, UNK] = [0, 1, 2, 3, 4];
const VOCABULARY = 500;
const tokenizer = {
  padId: PAD,
  special: { pad: PAD, cls: CLS, sep: SEP, mask: MASK, unk: UNK },
  vocabularySize: VOCABULARY,
};

/** Rows of [CLS] tokens [SEP] padding; `lengths` without the marks. */
function batch(lengths: readonly number[], sequence: number, size = lengths.length): Batch {
  const ids = Array.from({ length: size }, (_, row) =>
    Array.from({ length: sequence }, (_, at) => {
      const length = lengths[row] ?? 0;
      if (row >= lengths.length || at > length + 1) return PAD;
      return at === 0 ? CLS : at === length + 1 ? SEP : 5 + ((row * 31 + at * 7) % (VOCABULARY - 5));
    }),
  ).flat();
  return {
    inputs: { input_ids: { dtype: 'int64', dims: [size, sequence], data: BigInt64Array.from(ids, BigInt) } },
    labels: undefined,
    weights: { dtype: 'float32', dims: [size], data: new Float32Array(size).fill(1) },
    rows: Uint32Array.from(lengths, (_, row) => row),
    sequence,
  };
}

const numbers = ({ data }: { readonly data: ArrayLike<number | bigint> }): number[] => Array.from(data, Number);

describe('TokenMasker', () => {
  it('hides tokens of texts only, each at most once, and says which token belongs there', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 14 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 0, max: 2 }),
        fc.double({ min: 0.05, max: 0.9, noNaN: true }),
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        (lengths, fill, share, seed) => {
          const given = batch(lengths, 16, lengths.length + fill);
          const before = numbers(given.inputs.input_ids);
          const masker = new TokenMasker(tokenizer, MASK, { ...DEFAULT_MASKING, share });
          const { inputs, positions, labels, count } = masker.mask(given, [seed]);
          const after = numbers(inputs.input_ids);
          const [places, tokens] = [numbers(positions), numbers(labels)];
          const text = lengths.reduce((sum, length) => sum + length, 0);
          expect(count).toBe(Math.min(Math.round(share * text), Math.ceil(share * before.length)));
          expect(positions.dims).toEqual([Math.ceil(share * before.length)]);
          expect(new Set(places.slice(0, count)).size).toBe(count);
          expect(tokens.slice(0, count)).toEqual(places.slice(0, count).map((place) => before[place]));
          expect(tokens.slice(0, count).every((token) => token > UNK)).toBe(true);
          expect(tokens.slice(count).every((token) => token === IGNORED_LABEL)).toBe(true);
          const hidden = new Set(places.slice(0, count));
          expect(after.every((id, place) => hidden.has(place) || id === before[place])).toBe(true);
          expect(numbers(given.inputs.input_ids)).toEqual(before);
        },
      ),
    );
  });

  it('masks 80 %, replaces 10 % and keeps 10 % of 15 % of the tokens, evenly over the positions', () => {
    const given = batch(Array<number>(64).fill(126), 128);
    const before = numbers(given.inputs.input_ids);
    const masker = new TokenMasker(tokenizer, MASK, DEFAULT_MASKING);
    const seen = { masked: 0, same: 0, other: 0 };
    const byPosition = new Float64Array(128);
    const batches = 40;
    for (let index = 0; index < batches; index++) {
      const { inputs, positions, count } = masker.mask(given, [7, 0, index]);
      expect(count).toBe(Math.round(0.15 * 64 * 126));
      const after = numbers(inputs.input_ids);
      for (const place of numbers(positions).slice(0, count)) {
        byPosition[place % 128]++;
        if (after[place] === MASK) seen.masked++;
        else if (after[place] === before[place]) seen.same++;
        else seen.other++;
      }
    }
    const total = seen.masked + seen.same + seen.other;
    expect(seen.masked / total).toBeCloseTo(0.8, 2);
    expect(seen.other / total).toBeCloseTo(0.1, 2);
    const expected = 0.15 * 64 * batches;
    for (const count of byPosition.subarray(1, 127))
      expect(Math.abs(count - expected)).toBeLessThan(5 * Math.sqrt(expected));
  });

  it('hides the same tokens for the same stream and others for another', () => {
    const given = batch([20, 12], 32);
    const masker = new TokenMasker(tokenizer, MASK, DEFAULT_MASKING);
    expect(masker.mask(given, [1, 2, 3])).toEqual(masker.mask(given, [1, 2, 3]));
    const epochs = [0, 1, 2, 3].map((epoch) => String(numbers(masker.mask(given, [1, epoch, 0]).positions)));
    expect(new Set(epochs).size).toBe(4);
  });
});
