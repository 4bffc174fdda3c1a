import * as fc from 'fast-check';
import { Heap } from './heap';

describe('Heap', () => {
  it('gives numbers back in order, between pushes too', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.integer(), { maxLength: 20 }), { maxLength: 8 }), (rounds) => {
        const heap = new Heap<number>((a, b) => a - b);
        let expected: number[] = [];
        for (const round of rounds) {
          for (const number of round) heap.push(number);
          expected = [...expected, ...round].sort((a, b) => a - b);
          expect(heap.top).toBe(expected[0]);
          expect(heap.pop()).toBe(expected.shift());
        }
        for (const number of expected) expect(heap.pop()).toBe(number);
        expect(heap.pop()).toBeUndefined();
      }),
    );
  });
});
