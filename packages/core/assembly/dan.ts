/**
 * @file Training a DAN, in AssemblyScript (compiled by tools/build-kernels.mjs). Addresses are bytes, counts elements;
 * widths are multiples of 8. The twin in JavaScript is packages/core/src/dan/reference.ts.
 */

/** out[t, :] = sum of table[ids[i], :] over i in offsets[t] .. offsets[t + 1], for every text t. */
export function poolSum(table: usize, ids: usize, offsets: usize, texts: i32, width: usize, out: usize): void {
  const stride = width << 2;
  for (let t: i32 = 0; t < texts; t++) {
    const first = load<i32>(offsets + (t << 2));
    const end = load<i32>(offsets + (t << 2), 4);
    const target = out + <usize>t * stride;
    for (let column: usize = 0; column < stride; column += 32) {
      let a = f32x4.splat(0);
      let b = f32x4.splat(0);
      for (let i = first; i < end; i++) {
        const row = table + <usize>load<u32>(ids + (i << 2)) * stride + column;
        a = f32x4.add(a, v128.load(row));
        b = f32x4.add(b, v128.load(row, 16));
      }
      v128.store(target + column, a);
      v128.store(target + column, b, 16);
    }
  }
}

/** out[t, :] = maximum of table[ids[i], :] over i in offsets[t] .. offsets[t + 1]; -infinity without any. */
export function poolMax(table: usize, ids: usize, offsets: usize, texts: i32, width: usize, out: usize): void {
  const stride = width << 2;
  for (let t: i32 = 0; t < texts; t++) {
    const first = load<i32>(offsets + (t << 2));
    const end = load<i32>(offsets + (t << 2), 4);
    const target = out + <usize>t * stride;
    for (let column: usize = 0; column < stride; column += 16) {
      let best = f32x4.splat(-Infinity);
      for (let i = first; i < end; i++) {
        best = f32x4.max(best, v128.load(table + <usize>load<u32>(ids + (i << 2)) * stride + column));
      }
      v128.store(target + column, best);
    }
  }
}

/**
 * out[i] = table[ids[i], :] . vectors[t, :] over i in offsets[t] .. offsets[t + 1], for every text t; with a
 * `vectorStride` of 0 bytes all texts have the same vector.
 */
export function rowDots(
  table: usize,
  ids: usize,
  offsets: usize,
  texts: i32,
  width: usize,
  vectors: usize,
  vectorStride: usize,
  out: usize,
): void {
  const stride = width << 2;
  for (let t: i32 = 0; t < texts; t++) {
    const vector = vectors + <usize>t * vectorStride;
    const end = load<i32>(offsets + (t << 2), 4);
    for (let i = load<i32>(offsets + (t << 2)); i < end; i++) {
      const row = table + <usize>load<u32>(ids + (i << 2)) * stride;
      let s = f32x4.splat(0);
      for (let at: usize = 0; at < stride; at += 16) {
        s = f32x4.add(s, f32x4.mul(v128.load(row + at), v128.load(vector + at)));
      }
      const low = f32x4.extract_lane(s, 0) + f32x4.extract_lane(s, 1);
      store<f32>(out + (i << 2), low + f32x4.extract_lane(s, 2) + f32x4.extract_lane(s, 3));
    }
  }
}

/** out[t, :] = sum of weights[i] * table[ids[i], :] over i in offsets[t] .. offsets[t + 1], for every text t. */
export function poolWeighted(
  table: usize,
  ids: usize,
  offsets: usize,
  texts: i32,
  width: usize,
  weights: usize,
  out: usize,
): void {
  const stride = width << 2;
  for (let t: i32 = 0; t < texts; t++) {
    const first = load<i32>(offsets + (t << 2));
    const end = load<i32>(offsets + (t << 2), 4);
    for (let column: usize = 0; column < stride; column += 16) {
      let s = f32x4.splat(0);
      for (let i = first; i < end; i++) {
        const row = v128.load(table + <usize>load<u32>(ids + (i << 2)) * stride + column);
        s = f32x4.add(s, f32x4.mul(row, v128.load32_splat(weights + (i << 2))));
      }
      v128.store(out + <usize>t * stride + column, s);
    }
  }
}

/**
 * Gradient and AdamW of the touched rows in one pass, so that no gradient of the table is ever stored:
 *   g = sum of gradients[texts[i], :] over i in starts[r] .. starts[r + 1]
 * With `query` (attentive pooling) the sum is that of alphas[i] * gradients[texts[i], :] + betas[i] * query.
 * With `pooled` (maximum pooling) a column of a text counts only where the row is that text's maximum. The AdamW
 * equations are those of assembly/kernels.ts.
 */
export function updateRows(
  w: usize,
  m: usize,
  v: usize,
  rows: usize,
  starts: usize,
  texts: usize,
  count: i32,
  gradients: usize,
  pooled: usize,
  query: usize,
  alphas: usize,
  betas: usize,
  width: usize,
  keep: f32,
  oneMinusBeta1: f32,
  beta2: f32,
  oneMinusBeta2: f32,
  stepSize: f32,
  epsilon: f32,
): void {
  const stride = width << 2;
  for (let r: i32 = 0; r < count; r++) {
    const row = <usize>load<u32>(rows + (r << 2)) * stride;
    const first = load<i32>(starts + (r << 2));
    const end = load<i32>(starts + (r << 2), 4);
    for (let column: usize = 0; column < stride; column += 16) {
      const at = row + column;
      const weight = v128.load(w + at);
      let g = f32x4.splat(0);
      for (let i = first; i < end; i++) {
        const text = <usize>load<u32>(texts + (i << 2)) * stride + column;
        let part = v128.load(gradients + text);
        if (pooled) part = v128.and(part, f32x4.eq(weight, v128.load(pooled + text)));
        if (query) {
          const toQuery = f32x4.mul(v128.load32_splat(betas + (i << 2)), v128.load(query + column));
          part = f32x4.add(f32x4.mul(part, v128.load32_splat(alphas + (i << 2))), toQuery);
        }
        g = f32x4.add(g, part);
      }
      const m0 = v128.load(m + at);
      const m1 = f32x4.add(m0, f32x4.mul(f32x4.splat(oneMinusBeta1), f32x4.sub(g, m0)));
      const v0 = f32x4.mul(f32x4.splat(beta2), v128.load(v + at));
      const v1 = f32x4.add(v0, f32x4.mul(f32x4.splat(oneMinusBeta2), f32x4.mul(g, g)));
      const root = f32x4.add(f32x4.sqrt(v1), f32x4.splat(epsilon));
      const move = f32x4.div(f32x4.mul(f32x4.splat(stepSize), m1), root);
      v128.store(m + at, m1);
      v128.store(v + at, v1);
      v128.store(w + at, f32x4.sub(f32x4.mul(weight, f32x4.splat(keep)), move));
    }
  }
}

/**
 * out[r] = start + x[r] W for every row; W is [inputs, outputs] row-major. `start` is the bias, or out itself where
 * `bias` is 0 (the product is then added). Four rows share each load of W.
 */
export function product(
  x: usize,
  weights: usize,
  bias: usize,
  inputs: usize,
  outputs: usize,
  out: usize,
  rows: usize,
): void {
  const inStride = inputs << 2;
  const outStride = outputs << 2;
  let row: usize = 0;
  for (; row + 4 <= rows; row += 4) {
    const x0 = x + row * inStride;
    const x1 = x0 + inStride;
    const x2 = x1 + inStride;
    const x3 = x2 + inStride;
    const o0 = out + row * outStride;
    const o1 = o0 + outStride;
    const o2 = o1 + outStride;
    const o3 = o2 + outStride;
    for (let column: usize = 0; column < outStride; column += 32) {
      const s0 = bias ? bias : o0;
      const s1 = bias ? bias : o1;
      const s2 = bias ? bias : o2;
      const s3 = bias ? bias : o3;
      let a0 = v128.load(s0 + column);
      let b0 = v128.load(s0 + column, 16);
      let a1 = v128.load(s1 + column);
      let b1 = v128.load(s1 + column, 16);
      let a2 = v128.load(s2 + column);
      let b2 = v128.load(s2 + column, 16);
      let a3 = v128.load(s3 + column);
      let b3 = v128.load(s3 + column, 16);
      let w = weights + column;
      for (let i: usize = 0; i < inStride; i += 4) {
        const wa = v128.load(w);
        const wb = v128.load(w, 16);
        const v0 = v128.load32_splat(x0 + i);
        a0 = f32x4.add(a0, f32x4.mul(v0, wa));
        b0 = f32x4.add(b0, f32x4.mul(v0, wb));
        const v1 = v128.load32_splat(x1 + i);
        a1 = f32x4.add(a1, f32x4.mul(v1, wa));
        b1 = f32x4.add(b1, f32x4.mul(v1, wb));
        const v2 = v128.load32_splat(x2 + i);
        a2 = f32x4.add(a2, f32x4.mul(v2, wa));
        b2 = f32x4.add(b2, f32x4.mul(v2, wb));
        const v3 = v128.load32_splat(x3 + i);
        a3 = f32x4.add(a3, f32x4.mul(v3, wa));
        b3 = f32x4.add(b3, f32x4.mul(v3, wb));
        w += outStride;
      }
      v128.store(o0 + column, a0);
      v128.store(o0 + column, b0, 16);
      v128.store(o1 + column, a1);
      v128.store(o1 + column, b1, 16);
      v128.store(o2 + column, a2);
      v128.store(o2 + column, b2, 16);
      v128.store(o3 + column, a3);
      v128.store(o3 + column, b3, 16);
    }
  }
  for (; row < rows; row++) {
    const x0 = x + row * inStride;
    const o = out + row * outStride;
    for (let column: usize = 0; column < outStride; column += 32) {
      const start = bias ? bias : o;
      let a = v128.load(start + column);
      let b = v128.load(start + column, 16);
      let w = weights + column;
      for (let i: usize = 0; i < inStride; i += 4) {
        const value = v128.load32_splat(x0 + i);
        a = f32x4.add(a, f32x4.mul(value, v128.load(w)));
        b = f32x4.add(b, f32x4.mul(value, v128.load(w, 16)));
        w += outStride;
      }
      v128.store(o + column, a);
      v128.store(o + column, b, 16);
    }
  }
}

/** out[columns, rows] = x[rows, columns], transposed in tiles of 16 x 16 that stay in the cache. */
export function transpose(x: usize, rows: usize, columns: usize, out: usize): void {
  for (let top: usize = 0; top < rows; top += 16) {
    const bottom = min(rows, top + 16);
    for (let left: usize = 0; left < columns; left += 16) {
      const right = min(columns, left + 16);
      for (let column = left; column < right; column++) {
        for (let row = top; row < bottom; row++) {
          store<f32>(out + ((column * rows + row) << 2), load<f32>(x + ((row * columns + column) << 2)));
        }
      }
    }
  }
}

/** x = max(x, 0) * mask; the mask holds 0 or 1 / (1 - dropout). */
export function reluMask(x: usize, masks: usize, count: usize): void {
  const end = count << 2;
  for (let i: usize = 0; i < end; i += 16) {
    const active = f32x4.max(v128.load(x + i), f32x4.splat(0));
    v128.store(x + i, f32x4.mul(active, v128.load(masks + i)));
  }
}

/** gradient = active > 0 ? gradient * factor : 0; the gradient of reluMask with factor 1 / (1 - dropout). */
export function reluGradient(active: usize, gradient: usize, count: usize, factor: f32): void {
  const end = count << 2;
  for (let i: usize = 0; i < end; i += 16) {
    const passes = f32x4.gt(v128.load(active + i), f32x4.splat(0));
    v128.store(gradient + i, v128.and(f32x4.mul(v128.load(gradient + i), f32x4.splat(factor)), passes));
  }
}

/** out[:] = sum of the rows of x */
export function sumRows(x: usize, rows: usize, width: usize, out: usize): void {
  const stride = width << 2;
  for (let column: usize = 0; column < stride; column += 16) {
    let sum = f32x4.splat(0);
    for (let r: usize = 0; r < rows; r++) sum = f32x4.add(sum, v128.load(x + r * stride + column));
    v128.store(out + column, sum);
  }
}
