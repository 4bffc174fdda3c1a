/**
 * @file Loops over parameter slabs, in AssemblyScript (compiled by tools/build-kernels.mjs). Addresses are bytes,
 * counts are elements; any alignment and any count are allowed. packages/core/src/train/kernels/reference.ts is the
 * twin in JavaScript: every function here must give the same bits.
 */

/**
 * AdamW (Loshchilov & Hutter 2019) in PyTorch's order, with both bias corrections folded into two scalars:
 *   g' = s g;  m += (1-b1)(g' - m);  v = b2 v + (1-b2) g'^2;  w = w (1 - lr decay) - stepSize m / (sqrt(v) + epsilon)
 * where stepSize = lr sqrt(1-b2^t) / (1-b1^t) and epsilon = eps sqrt(1-b2^t).
 */
export function adamw(
  w: usize,
  g: usize,
  m: usize,
  v: usize,
  count: usize,
  scale: f32,
  keep: f32,
  oneMinusBeta1: f32,
  beta2: f32,
  oneMinusBeta2: f32,
  stepSize: f32,
  epsilon: f32,
): void {
  const scales = f32x4.splat(scale);
  const keeps = f32x4.splat(keep);
  const mRates = f32x4.splat(oneMinusBeta1);
  const vKeeps = f32x4.splat(beta2);
  const vRates = f32x4.splat(oneMinusBeta2);
  const steps = f32x4.splat(stepSize);
  const epsilons = f32x4.splat(epsilon);
  const bytes = count << 2;
  const whole = bytes & ~15;
  let i: usize = 0;
  for (; i < whole; i += 16) {
    const gradient = f32x4.mul(v128.load(g + i), scales);
    const m0 = v128.load(m + i);
    const m1 = f32x4.add(m0, f32x4.mul(mRates, f32x4.sub(gradient, m0)));
    const v1 = f32x4.add(f32x4.mul(vKeeps, v128.load(v + i)), f32x4.mul(vRates, f32x4.mul(gradient, gradient)));
    const move = f32x4.div(f32x4.mul(steps, m1), f32x4.add(f32x4.sqrt(v1), epsilons));
    v128.store(m + i, m1);
    v128.store(v + i, v1);
    v128.store(w + i, f32x4.sub(f32x4.mul(v128.load(w + i), keeps), move));
  }
  for (; i < bytes; i += 4) {
    const gradient = load<f32>(g + i) * scale;
    const m0 = load<f32>(m + i);
    const m1 = m0 + oneMinusBeta1 * (gradient - m0);
    const v1 = beta2 * load<f32>(v + i) + oneMinusBeta2 * (gradient * gradient);
    store<f32>(m + i, m1);
    store<f32>(v + i, v1);
    store<f32>(w + i, load<f32>(w + i) * keep - (stepSize * m1) / (sqrt<f32>(v1) + epsilon));
  }
}

/** target += source */
export function accumulate(target: usize, source: usize, count: usize): void {
  const bytes = count << 2;
  const whole = bytes & ~15;
  let i: usize = 0;
  for (; i < whole; i += 16) {
    v128.store(target + i, f32x4.add(v128.load(target + i), v128.load(source + i)));
  }
  for (; i < bytes; i += 4) {
    store<f32>(target + i, load<f32>(target + i) + load<f32>(source + i));
  }
}

/** target *= factor */
export function scale(target: usize, count: usize, factor: f32): void {
  const factors = f32x4.splat(factor);
  const bytes = count << 2;
  const whole = bytes & ~15;
  let i: usize = 0;
  for (; i < whole; i += 16) v128.store(target + i, f32x4.mul(v128.load(target + i), factors));
  for (; i < bytes; i += 4) store<f32>(target + i, load<f32>(target + i) * factor);
}

/** average += rate (source - average): exponential moving average. */
export function ema(average: usize, source: usize, count: usize, rate: f32): void {
  const rates = f32x4.splat(rate);
  const bytes = count << 2;
  const whole = bytes & ~15;
  let i: usize = 0;
  for (; i < whole; i += 16) {
    const old = v128.load(average + i);
    v128.store(average + i, f32x4.add(old, f32x4.mul(rates, f32x4.sub(v128.load(source + i), old))));
  }
  for (; i < bytes; i += 4) {
    const old = load<f32>(average + i);
    store<f32>(average + i, old + rate * (load<f32>(source + i) - old));
  }
}

/**
 * Sum of squares in double precision, always added in the same order: element i goes to partial sum i mod 8. Not
 * finite as soon as one element is not.
 */
export function sumSquares(source: usize, count: usize): f64 {
  let s01 = f64x2.splat(0);
  let s23 = f64x2.splat(0);
  let s45 = f64x2.splat(0);
  let s67 = f64x2.splat(0);
  const bytes = count << 2;
  const whole = bytes & ~31;
  let i: usize = 0;
  for (; i < whole; i += 32) {
    const a = v128.load(source + i);
    const b = v128.load(source + i, 16);
    const a01 = f64x2.promote_low_f32x4(a);
    const a23 = f64x2.promote_low_f32x4(i32x4.shuffle(a, a, 2, 3, 0, 1));
    const b01 = f64x2.promote_low_f32x4(b);
    const b23 = f64x2.promote_low_f32x4(i32x4.shuffle(b, b, 2, 3, 0, 1));
    s01 = f64x2.add(s01, f64x2.mul(a01, a01));
    s23 = f64x2.add(s23, f64x2.mul(a23, a23));
    s45 = f64x2.add(s45, f64x2.mul(b01, b01));
    s67 = f64x2.add(s67, f64x2.mul(b23, b23));
  }
  const pairs = f64x2.add(f64x2.add(s01, s23), f64x2.add(s45, s67));
  let sum = f64x2.extract_lane(pairs, 0) + f64x2.extract_lane(pairs, 1);
  for (; i < bytes; i += 4) {
    const x = <f64>load<f32>(source + i);
    sum += x * x;
  }
  return sum;
}

/** target = mask ? target : 0, with one byte (0 or 1) an element. Clears the bits, so NaN becomes 0 too. */
export function mask(target: usize, masks: usize, count: usize): void {
  const whole = count & ~3;
  let i: usize = 0;
  for (; i < whole; i += 4) {
    const address = target + (i << 2);
    const kept = i32x4.neg(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(masks + i))));
    v128.store(address, v128.and(v128.load(address), kept));
  }
  for (; i < count; i++) if (!load<u8>(masks + i)) store<f32>(target + (i << 2), 0);
}

/** 32 well-mixed bits of (counter, key); the second key word enters between the rounds, so streams do not overlap. */
function mix(counter: u32, key0: u32, key1: u32): u32 {
  let x = counter ^ key0;
  x = (x ^ (x >> 16)) * 0x21f0aaad;
  x ^= key1;
  x = (x ^ (x >> 15)) * 0xd35a2d97;
  return x ^ (x >> 15);
}

/**
 * Fills `target` with `value` where a fair 16-bit draw reaches `threshold` and with 0 elsewhere. Draw i depends on
 * (key0, key1, i) only: 16 bits of word i div 2.
 */
export function dropoutMask(target: usize, count: usize, key0: u32, key1: u32, threshold: u32, value: f32): void {
  const values = f32x4.splat(value);
  const thresholds = i16x8.splat(<i16>threshold);
  const keys0 = i32x4.splat(key0);
  const keys1 = i32x4.splat(key1);
  const factors0 = i32x4.splat(0x21f0aaad);
  const factors1 = i32x4.splat(0xd35a2d97);
  const four = i32x4.splat(4);
  let counters = i32x4(0, 1, 2, 3);
  const bytes = count << 2;
  const whole = bytes & ~31;
  let i: usize = 0;
  for (; i < whole; i += 32) {
    let x = v128.xor(counters, keys0);
    x = i32x4.mul(v128.xor(x, i32x4.shr_u(x, 16)), factors0);
    x = v128.xor(x, keys1);
    x = i32x4.mul(v128.xor(x, i32x4.shr_u(x, 15)), factors1);
    x = v128.xor(x, i32x4.shr_u(x, 15));
    const kept = i16x8.ge_u(x, thresholds);
    v128.store(target + i, v128.and(i32x4.extend_low_i16x8_s(kept), values));
    v128.store(target + i, v128.and(i32x4.extend_high_i16x8_s(kept), values), 16);
    counters = i32x4.add(counters, four);
  }
  for (; i < bytes; i += 4) {
    const draw = <u32>(i >> 2);
    const bits = (mix(draw >> 1, key0, key1) >> ((draw & 1) << 4)) & 0xffff;
    store<f32>(target + i, bits >= threshold ? value : 0);
  }
}
