/** @file The kernels in plain JavaScript: the oracle of the tests. Rounds to float32 after every operation, as SIMD does. */
import type { Kernels } from './kernels';

const f32 = Math.fround;

/** The same functions as `wasmKernels`, bit for bit, 5 to 10 times slower. */
export function referenceKernels(memory: WebAssembly.Memory): Kernels {
  const floats = (address: number, count: number): Float32Array => new Float32Array(memory.buffer, address, count);

  return {
    accumulate(target, source, count) {
      const to = floats(target, count);
      const from = floats(source, count);
      for (let i = 0; i < count; i++) to[i] += from[i];
    },

    adamw(at, count, scalars) {
      const w = floats(at.weight, count);
      const g = floats(at.gradient, count);
      const m = floats(at.firstMoment, count);
      const v = floats(at.secondMoment, count);
      const scale = f32(scalars.scale);
      const keep = f32(scalars.keep);
      const oneMinusBeta1 = f32(scalars.oneMinusBeta1);
      const beta2 = f32(scalars.beta2);
      const oneMinusBeta2 = f32(scalars.oneMinusBeta2);
      const stepSize = f32(scalars.stepSize);
      const epsilon = f32(scalars.epsilon);
      for (let i = 0; i < count; i++) {
        const gradient = f32(g[i] * scale);
        const m1 = f32(m[i] + f32(oneMinusBeta1 * f32(gradient - m[i])));
        const v1 = f32(f32(beta2 * v[i]) + f32(oneMinusBeta2 * f32(gradient * gradient)));
        const move = f32(f32(stepSize * m1) / f32(f32(Math.sqrt(v1)) + epsilon));
        m[i] = m1;
        v[i] = v1;
        w[i] = f32(w[i] * keep) - move;
      }
    },

    scale(target, count, factor) {
      const to = floats(target, count);
      for (let i = 0; i < count; i++) to[i] = to[i] * f32(factor);
    },

    ema(average, source, count, rate) {
      const to = floats(average, count);
      const from = floats(source, count);
      for (let i = 0; i < count; i++) to[i] = to[i] + f32(f32(rate) * f32(from[i] - to[i]));
    },

    sumSquares(source, count) {
      const from = floats(source, count);
      const sums = new Float64Array(8);
      const whole = count - (count % 8);
      for (let i = 0; i < whole; i++) sums[i % 8] += from[i] * from[i];
      // The SIMD kernel holds sums 0,1 | 2,3 | 4,5 | 6,7 and adds them pairwise, low lanes first.
      let total = sums[0] + sums[2] + (sums[4] + sums[6]) + (sums[1] + sums[3] + (sums[5] + sums[7]));
      for (let i = whole; i < count; i++) total += from[i] * from[i];
      return total;
    },

    mask(target, masks, count) {
      const to = floats(target, count);
      const kept = new Uint8Array(memory.buffer, masks, count);
      for (let i = 0; i < count; i++) if (kept[i] === 0) to[i] = 0;
    },

    dropoutMask(target, count, [key0, key1], threshold, value) {
      const to = floats(target, count);
      for (let i = 0; i < count; i++) {
        const draw = (mix(i >>> 1, key0, key1) >>> ((i & 1) << 4)) & 0xffff;
        to[i] = draw >= threshold ? value : 0;
      }
    },
  };
}

function mix(counter: number, key0: number, key1: number): number {
  let x = counter ^ key0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad) ^ key1;
  x = Math.imul(x ^ (x >>> 15), 0xd35a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}
