import * as fc from 'fast-check';
import { Tensor } from '../graph';
import type { Model } from '../graph';
import { toFloat32 } from '../models/half';
import { exclusionsSchema } from './exclude';
import { writeHalves } from './fp16';
import { quantizeModel } from './quantize';
import { relativeError, run, SiteBuilder } from './testing';

/** Bits of the halves of some numbers. */
function toHalf(values: Float32Array): Uint16Array {
  const halves = new Uint16Array(values.length);
  writeHalves(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), new Uint8Array(halves.buffer));
  return halves;
}

const halfValues = (values: Float32Array): Float32Array =>
  toFloat32(Tensor.of('float16', [values.length], toHalf(values))).data;

describe('half precision', () => {
  it('is the nearest of all halves, ties to even', () => {
    const every = [...halfBitsUpTo(0x7bff)];
    const sorted = every.map((bits) => toFloat32(Tensor.of('float16', [1], Uint16Array.of(bits))).data[0]);
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: 0, max: 65504 }), (x) => {
        const [bits] = toHalf(Float32Array.of(x));
        const distance = Math.abs(sorted[bits] - x);
        for (const other of [bits - 1, bits + 1]) {
          if (other < 0 || other >= sorted.length) continue;
          const away = Math.abs(sorted[other] - x);
          if (away < distance || (away === distance && bits % 2 === 1)) throw new Error(`${x} became ${sorted[bits]}`);
        }
      }),
    );
    expect([...halfValues(Float32Array.of(1, -1.5, 0, 65504, 2 ** -24, 2 ** -26, 0.1))]).toEqual(
      [1, -1.5, 0, 65504, 2 ** -24, 0, 0.0999755859375].map(Math.fround),
    );
  });

  function* halfBitsUpTo(last: number): Generator<number> {
    for (let bits = 0; bits <= last; bits++) yield bits;
  }
});

describe('fp16 storage', () => {
  const make = (poison = 0): Model => {
    const b = new SiteBuilder();
    const w = b.weight('w', [32, 24]);
    if (poison) (w.constant as Tensor<'float32'>).data[5] = poison;
    const look = b.node('Gather', [b.weight('table', [40, 32], 2), b.ids], 'look');
    const sum = b.node('Add', [b.node('Mul', [b.x, b.weight('gain', [32], 3)], 'scaled'), look], 'sum');
    return b.finish(b.node('MatMul', [sum, w], 'm'));
  };
  const half = { kind: 'fp16' } as const;

  it('keeps every float initializer in half the bytes, and computes in float32', async () => {
    const model = make();
    const { quantized, skipped } = quantizeModel(model, half, { minElements: 0 });
    expect(quantized.map(({ weight }) => weight).sort()).toEqual(['gain', 'table', 'w']);
    expect(skipped).toEqual([]);
    for (const { weight, bytesBefore, bytesAfter } of quantized) {
      expect(model.graph.value(weight).dtype).toBe('float16');
      expect(bytesAfter).toBe(bytesBefore / 2);
    }
    const inPlace = make();
    quantizeModel(inPlace, half, { minElements: 0, overwrite: true });
    for (const { name, constant } of model.graph.initializers)
      expect(inPlace.graph.value(name).constant).toEqual(constant);
    const error = relativeError(await run(model), await run(make()));
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(1e-3);
    const rounded = make();
    for (const value of rounded.graph.initializers) {
      value.constant = Tensor.float32(value.constant!.dims, halfValues((value.constant as Tensor<'float32'>).data));
    }
    expect(relativeError(await run(model), await run(rounded))).toBeLessThan(1e-6);
  });

  it('leaves what is excluded, too small or too large in float32, with the reason', () => {
    const exclude = exclusionsSchema.parse({ names: ['look'] });
    const { quantized, skipped } = quantizeModel(make(70_000), half, { minElements: 100, exclude });
    expect(quantized).toEqual([]);
    expect(Object.fromEntries(skipped.map(({ weight, reason }) => [weight, reason]))).toEqual({
      gain: 'only 32 elements: fewer bits would not make it smaller or faster',
      table: '"look" is excluded',
      w: 'it holds numbers beyond 65504',
    });
  });
});
