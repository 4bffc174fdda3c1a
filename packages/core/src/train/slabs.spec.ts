import * as fc from 'fast-check';
import { ParameterSlabs } from './slabs';

const ARRAYS = ['weight', 'gradient', 'firstMoment', 'secondMoment', 'landing', 'average', 'mask'] as const;

describe('ParameterSlabs', () => {
  it('gives every array of every parameter its own aligned, zeroed memory, over as many memories as needed', () => {
    const dims = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 3 });
    fc.assert(
      fc.property(fc.array(dims, { minLength: 1, maxLength: 12 }), (shapes) => {
        const specs = shapes.map((dims, i) => ({ name: `p${i}`, dims }));
        const slabs = ParameterSlabs.allocate(specs, 25_000);
        const taken = new Map<ArrayBufferLike, [number, number][]>();
        expect(slabs.slots.map(({ name, dims }) => ({ name, dims }))).toEqual(specs);
        for (const slot of slabs.slots) {
          for (const which of ARRAYS) {
            const { buffer, byteOffset, byteLength, length } = slot[which];
            expect(length).toBe(slot.dims.reduce((a, b) => a * b, 1));
            expect(slot[which].every((x) => x === 0)).toBe(true);
            expect(byteOffset % 64).toBe(0);
            expect(byteOffset).toBe(slot.at[which]);
            expect(buffer).toBe(slot.weight.buffer);
            const ranges = taken.get(buffer) ?? [];
            for (const [from, to] of ranges) expect(byteOffset >= to || byteOffset + byteLength <= from).toBe(true);
            taken.set(buffer, [...ranges, [byteOffset, byteOffset + byteLength]]);
          }
        }
        expect([...taken.keys()].every((buffer) => buffer.byteLength <= 65536)).toBe(true);
      }),
    );
  });

  it('splits into several memories and its kernels act on the right one', () => {
    const specs = [0, 1, 2].map((i) => ({ name: `p${i}`, dims: [100] }));
    const slabs = ParameterSlabs.allocate(specs, 2 * 128 * 25);
    expect(new Set(slabs.slots.map((slot) => slot.weight.buffer)).size).toBe(2);
    slabs.slots.forEach((slot, i) => slot.weight.fill(i + 1));
    for (const slot of slabs.slots) slot.memory.kernels.scale(slot.at.weight, slot.size, 10);
    expect(slabs.slots.map((slot) => [slot.weight[0], slot.weight[99]])).toEqual([
      [10, 10],
      [20, 20],
      [30, 30],
    ]);
  });

  it('refuses a parameter that fits no memory, a second parameter of a name, and an unknown name', () => {
    const huge = [{ name: 'table', dims: [1_000_000, 1024] }];
    expect(() => ParameterSlabs.allocate(huge)).toThrow(
      expect.objectContaining({ code: 'train.parameter-too-large', details: { field: 'table' } }),
    );
    const twice = [
      { name: 'a', dims: [1] },
      { name: 'a', dims: [2] },
    ];
    expect(() => ParameterSlabs.allocate(twice)).toThrow(
      expect.objectContaining({ code: 'train.duplicate-parameter' }),
    );
    expect(() => ParameterSlabs.allocate([]).slot('b')).toThrow(
      expect.objectContaining({ code: 'train.unknown-parameter' }),
    );
  });
});
