import { requireTableMemory } from './memory';

describe('requireTableMemory', () => {
  it('says how much is missing and which dimension fits', () => {
    const refused = (rows: number, dimension: number, gib: number) => () =>
      requireTableMemory(rows, dimension, gib * 2 ** 30);
    expect(refused(1_000_000, 1000, 12)).not.toThrow();
    expect(refused(1_000_000, 1000, 10)).toThrow(
      'Training 1000000 n-grams x 1000 needs 11.2 GiB, of which 10.0 can be used here. A dimension of 888 fits.',
    );
    expect(refused(4_000_000, 8, 0.3)).toThrow('Not even a dimension of 8 fits: use fewer n-grams.');
  });
});
