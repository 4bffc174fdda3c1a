/**
 * @file The DAN's hot path, in AssemblyScript (compiled by tools/build-kernels.mjs). Addresses are bytes. The twin in
 * JavaScript is src/reference.ts; hashes must be equal bit for bit, sums within float rounding.
 */

const NGRAM_A: u32 = 0x811c9dc5;
const NGRAM_B: u32 = 0x9747b28c;

function mix(h: u32): u32 {
  h = (h ^ (h >>> 16)) * 0x85ebca6b;
  h = (h ^ (h >>> 13)) * 0xc2b2ae35;
  return h ^ (h >>> 16);
}

function isWord(c: u32): bool {
  return (c | 32) - 97 < 26 || c - 48 < 10 || c === 95 || c >= 128;
}

/**
 * Hashes the tokens of `text` (UTF-8): runs of at least two word characters, ASCII letters lower-cased; bytes above
 * 127 count as word characters (callers split and fold such texts before). Writes pairs of u32 to `hashes`.
 * @returns the number of tokens
 */
export function tokenize(text: usize, length: usize, hashes: usize): i32 {
  let tokens: i32 = 0;
  const end = text + length;
  let at = text;
  while (at < end) {
    let c = load<u8>(at);
    if (!isWord(c)) {
      at++;
      continue;
    }
    const start = at;
    let characters: i32 = 0;
    let a = NGRAM_A;
    let b = NGRAM_B;
    while (at < end) {
      c = load<u8>(at);
      if (!isWord(c)) break;
      if (c - 65 < 26) c |= 32;
      a = (a ^ c) * 0x01000193;
      b = rotl<u32>((b ^ c) * 0x5bd1e995, 15);
      if ((c & 0xc0) !== 0x80) characters++; // continuation bytes belong to the character before
      at++;
    }
    if (characters >= 2 && at > start) {
      store<u32>(hashes + (tokens << 3), mix(a));
      store<u32>(hashes + (tokens << 3), mix(b), 4);
      tokens++;
    }
  }
  return tokens;
}

/**
 * Looks up every n-gram of minOrder..maxOrder tokens in the perfect hash: bucket a mod buckets gives a displacement d,
 * slot mix(b ^ d * 0x9e3779b1) mod slots, and the n-gram is known if the slot's fingerprint is a ^ rotl(b, 16).
 * Writes the slots found as u32.
 * @returns how many were found
 */
export function lookup(
  hashes: usize,
  tokens: i32,
  minOrder: i32,
  maxOrder: i32,
  displacements: usize,
  buckets: u32,
  fingerprints: usize,
  slots: u32,
  rows: usize,
): i32 {
  let found: i32 = 0;
  for (let start: i32 = 0; start < tokens; start++) {
    let a = NGRAM_A;
    let b = NGRAM_B;
    const last = min<i32>(tokens - start, maxOrder);
    for (let order: i32 = 1; order <= last; order++) {
      const token = hashes + ((start + order - 1) << 3);
      a = rotl<u32>((a ^ load<u32>(token)) * 0xcc9e2d51, 13) * 5 + 0xe6546b64;
      b = rotl<u32>((b ^ load<u32>(token, 4)) * 0x1b873593, 11) * 5 + 0x561ccd1b;
      if (order < minOrder) continue;
      const displacement: u32 = load<u16>(displacements + ((a % buckets) << 1));
      const slot = mix(b ^ (displacement * 0x9e3779b1)) % slots;
      if (load<u32>(fingerprints + (slot << 2)) === (a ^ rotl<u32>(b, 16))) {
        store<u32>(rows + (found << 2), slot);
        found++;
      }
    }
  }
  return found;
}

/** out = factor * sum of the float32 rows; `width` is a multiple of 8. */
export function gatherF32(table: usize, rows: usize, count: i32, width: usize, out: usize, factor: f32): void {
  const stride = width << 2;
  const factors = f32x4.splat(factor);
  for (let column: usize = 0; column < stride; column += 32) {
    let s0 = f32x4.splat(0);
    let s1 = f32x4.splat(0);
    for (let i: i32 = 0; i < count; i++) {
      const row = table + <usize>load<u32>(rows + (i << 2)) * stride + column;
      s0 = f32x4.add(s0, v128.load(row));
      s1 = f32x4.add(s1, v128.load(row, 16));
    }
    v128.store(out + column, f32x4.mul(s0, factors));
    v128.store(out + column, f32x4.mul(s1, factors), 16);
  }
}

/** out = element-wise maximum of the float32 rows; zeros when there is none. */
export function maxF32(table: usize, rows: usize, count: i32, width: usize, out: usize): void {
  const stride = width << 2;
  for (let column: usize = 0; column < stride; column += 16) {
    let best = f32x4.splat(0);
    for (let i: i32 = 0; i < count; i++) {
      const row = v128.load(table + <usize>load<u32>(rows + (i << 2)) * stride + column);
      best = i === 0 ? row : f32x4.max(best, row);
    }
    v128.store(out + column, best);
  }
}

/**
 * out = factor * sum of the int8 rows, summed exactly: 16-bit lanes over at most 256 rows, then 32-bit. `width` is a
 * multiple of 16; the per-column scales are folded into the next layer.
 */
export function gatherI8(table: usize, rows: usize, count: i32, width: usize, out: usize, factor: f32): void {
  const factors = f32x4.splat(factor);
  for (let column: usize = 0; column < width; column += 16) {
    let w0 = i32x4.splat(0);
    let w1 = i32x4.splat(0);
    let w2 = i32x4.splat(0);
    let w3 = i32x4.splat(0);
    for (let first: i32 = 0; first < count; first += 256) {
      let low = i16x8.splat(0);
      let high = i16x8.splat(0);
      const end = min<i32>(count, first + 256);
      for (let i = first; i < end; i++) {
        const row = v128.load(table + <usize>load<u32>(rows + (i << 2)) * width + column);
        low = i16x8.add(low, i16x8.extend_low_i8x16_s(row));
        high = i16x8.add(high, i16x8.extend_high_i8x16_s(row));
      }
      w0 = i32x4.add(w0, i32x4.extend_low_i16x8_s(low));
      w1 = i32x4.add(w1, i32x4.extend_high_i16x8_s(low));
      w2 = i32x4.add(w2, i32x4.extend_low_i16x8_s(high));
      w3 = i32x4.add(w3, i32x4.extend_high_i16x8_s(high));
    }
    const at = out + (column << 2);
    v128.store(at, f32x4.mul(f32x4.convert_i32x4_s(w0), factors));
    v128.store(at, f32x4.mul(f32x4.convert_i32x4_s(w1), factors), 16);
    v128.store(at, f32x4.mul(f32x4.convert_i32x4_s(w2), factors), 32);
    v128.store(at, f32x4.mul(f32x4.convert_i32x4_s(w3), factors), 48);
  }
}

/** out[i] = row i . query, float32 rows; `width` is a multiple of 4. */
export function scoresF32(table: usize, rows: usize, count: i32, width: usize, query: usize, out: usize): void {
  const stride = width << 2;
  for (let i: i32 = 0; i < count; i++) {
    const row = table + <usize>load<u32>(rows + (i << 2)) * stride;
    let sum = f32x4.splat(0);
    for (let at: usize = 0; at < stride; at += 16) {
      sum = f32x4.add(sum, f32x4.mul(v128.load(row + at), v128.load(query + at)));
    }
    store<f32>(out + (i << 2), total(sum));
  }
}

/** out[i] = row i . query, int8 rows; the query has the scales of the columns in it. `width` is a multiple of 16. */
export function scoresI8(table: usize, rows: usize, count: i32, width: usize, query: usize, out: usize): void {
  for (let i: i32 = 0; i < count; i++) {
    const row = table + <usize>load<u32>(rows + (i << 2)) * width;
    let sum = f32x4.splat(0);
    for (let at: usize = 0; at < width; at += 4) {
      sum = f32x4.add(sum, f32x4.mul(fourI8(row + at), v128.load(query + (at << 2))));
    }
    store<f32>(out + (i << 2), total(sum));
  }
}

/** out = sum of weights[i] * row i, float32 rows. */
export function weighF32(table: usize, rows: usize, count: i32, width: usize, weights: usize, out: usize): void {
  const stride = width << 2;
  for (let column: usize = 0; column < stride; column += 16) {
    let sum = f32x4.splat(0);
    for (let i: i32 = 0; i < count; i++) {
      const row = v128.load(table + <usize>load<u32>(rows + (i << 2)) * stride + column);
      sum = f32x4.add(sum, f32x4.mul(row, v128.load32_splat(weights + (i << 2))));
    }
    v128.store(out + column, sum);
  }
}

/** out = sum of weights[i] * row i, int8 rows without the scales of their columns. */
export function weighI8(table: usize, rows: usize, count: i32, width: usize, weights: usize, out: usize): void {
  for (let column: usize = 0; column < width; column += 4) {
    let sum = f32x4.splat(0);
    for (let i: i32 = 0; i < count; i++) {
      const row = fourI8(table + <usize>load<u32>(rows + (i << 2)) * width + column);
      sum = f32x4.add(sum, f32x4.mul(row, v128.load32_splat(weights + (i << 2))));
    }
    v128.store(out + (column << 2), sum);
  }
}

/** Four int8 cells as floats. */
function fourI8(at: usize): v128 {
  const wide = i16x8.extend_low_i8x16_s(v128.load32_zero(at));
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(wide));
}

function total(x: v128): f32 {
  return f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) + f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3);
}

/**
 * out[r] = bias + x[r] W for `batch` rows; W is [inputs, outputs] row-major, `outputs` a multiple of 8. Four rows share
 * each load of W: the weights do not fit the cache, so their traffic is what counts.
 */
export function dense(
  x: usize,
  weights: usize,
  bias: usize,
  inputs: usize,
  outputs: usize,
  out: usize,
  batch: usize,
): void {
  const inStride = inputs << 2;
  const outStride = outputs << 2;
  let row: usize = 0;
  for (; row + 4 <= batch; row += 4) {
    const x0 = x + row * inStride;
    const o0 = out + row * outStride;
    for (let column: usize = 0; column < outStride; column += 32) {
      let a0 = v128.load(bias + column);
      let b0 = v128.load(bias + column, 16);
      let a1 = a0;
      let b1 = b0;
      let a2 = a0;
      let b2 = b0;
      let a3 = a0;
      let b3 = b0;
      let w = weights + column;
      for (let i: usize = 0; i < inStride; i += 4) {
        const wa = v128.load(w);
        const wb = v128.load(w, 16);
        const v0 = v128.load32_splat(x0 + i);
        a0 = f32x4.add(a0, f32x4.mul(v0, wa));
        b0 = f32x4.add(b0, f32x4.mul(v0, wb));
        const v1 = v128.load32_splat(x0 + inStride + i);
        a1 = f32x4.add(a1, f32x4.mul(v1, wa));
        b1 = f32x4.add(b1, f32x4.mul(v1, wb));
        const v2 = v128.load32_splat(x0 + 2 * inStride + i);
        a2 = f32x4.add(a2, f32x4.mul(v2, wa));
        b2 = f32x4.add(b2, f32x4.mul(v2, wb));
        const v3 = v128.load32_splat(x0 + 3 * inStride + i);
        a3 = f32x4.add(a3, f32x4.mul(v3, wa));
        b3 = f32x4.add(b3, f32x4.mul(v3, wb));
        w += outStride;
      }
      const o = o0 + column;
      v128.store(o, a0);
      v128.store(o, b0, 16);
      v128.store(o + outStride, a1);
      v128.store(o + outStride, b1, 16);
      v128.store(o + 2 * outStride, a2);
      v128.store(o + 2 * outStride, b2, 16);
      v128.store(o + 3 * outStride, a3);
      v128.store(o + 3 * outStride, b3, 16);
    }
  }
  for (; row < batch; row++) {
    const x0 = x + row * inStride;
    for (let column: usize = 0; column < outStride; column += 32) {
      let a = v128.load(bias + column);
      let b = v128.load(bias + column, 16);
      let w = weights + column;
      for (let i: usize = 0; i < inStride; i += 4) {
        const v = v128.load32_splat(x0 + i);
        a = f32x4.add(a, f32x4.mul(v, v128.load(w)));
        b = f32x4.add(b, f32x4.mul(v, v128.load(w, 16)));
        w += outStride;
      }
      const o = out + row * outStride + column;
      v128.store(o, a);
      v128.store(o, b, 16);
    }
  }
}

/** x = max(x, 0) */
export function relu(x: usize, count: i32): void {
  const zero = f32x4.splat(0);
  const end = x + (count << 2);
  for (let at = x; at < end; at += 16) v128.store(at, f32x4.max(v128.load(at), zero));
}
