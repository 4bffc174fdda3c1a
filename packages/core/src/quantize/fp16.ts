/** @file Weights stored in half precision: a Cast to float32 in front of their readers, computed when the model is loaded. */
import { DTYPES, int, Node, ONNX_DOMAIN, Tensor, Value } from '../graph';
import type { Graph } from '../graph';
import { toFloat32 } from '../models/half';
import { roundHalfEven } from './affine';
import type { ReplacedWeight } from './weight';

/** Largest finite number of half precision. */
export const HALF_MAX = 65504;

/**
 * Stores an initializer as float16 under its name; its readers get it through a Cast.
 * @param overwrite whether the halves may be put where the float numbers were, which nothing else must read any more
 */
export function storeHalf(graph: Graph, weight: Value, overwrite: boolean): ReplacedWeight {
  const { name } = weight;
  const tensor = weight.constant as Tensor<'float32'>;
  const [first] = weight.consumers;
  const readers = [...weight.uses];
  graph.renameValue(weight, graph.uniqueName(`${name}_float32`));
  const memory = overwrite
    ? tensor.bytes.subarray(0, tensor.bytes.length / 2)
    : new Uint8Array(tensor.bytes.length / 2);
  const relativeError = writeHalves(tensor.bytes, memory);
  const stored = graph.addInitializer(name, new Tensor('float16', tensor.dims, memory));
  const cast = new Value(graph.uniqueName(`${name}_Cast`), { dtype: 'float32', shape: tensor.dims });
  const attributes = new Map([['to', int(DTYPES.float32.onnx)]]);
  graph.addNode(new Node('Cast', ONNX_DOMAIN, cast.name, [stored], [cast], attributes), first);
  for (const { node, index } of readers) graph.setInput(node, index, cast);
  graph.removeValue(weight);
  const bytesBefore = tensor.bytes.byteLength;
  return { bytesBefore, bytesAfter: bytesBefore / 2, relativeError, transposed: false };
}

/** Numbers that are converted at once: small enough to stay in the cache, and aligned whatever the file's layout. */
const CHUNK = 4096;

/** Hands over the numbers of a float32 tensor in aligned pieces, whose memory is reused. */
function forChunks(bytes: Uint8Array, visit: (values: Float32Array, start: number) => void): void {
  const buffer = new Uint8Array(4 * CHUNK);
  const values = new Float32Array(buffer.buffer);
  for (let start = 0; start < bytes.length; start += buffer.length) {
    const piece = bytes.subarray(start, start + buffer.length);
    buffer.set(piece);
    visit(values.subarray(0, piece.length / 4), start / 4);
  }
}

/** Whether every number of a float32 tensor has a half next to it. */
export function fitsHalf({ bytes }: Tensor): boolean {
  let fits = true;
  forChunks(bytes, (values) => {
    for (const value of values) if (!(value <= HALF_MAX && value >= -HALF_MAX)) fits = false;
  });
  return fits;
}

/**
 * Writes float32 numbers of magnitude up to 65504 as halves, ties to even; `to` may be the beginning of `from`.
 * @returns Frobenius norm of the rounding error over that of the numbers
 */
export function writeHalves(from: Uint8Array, to: Uint8Array): number {
  const decoded = halfValues();
  let [error, norm] = [0, 0];
  forChunks(from, (values, start) => {
    const bits = new Uint32Array(values.buffer, 0, values.length);
    for (let i = 0; i < values.length; i++) {
      const half = halfBits(bits[i], values[i]);
      to[2 * (start + i)] = half & 0xff;
      to[2 * (start + i) + 1] = half >>> 8;
      const difference = values[i] - decoded[half];
      error += difference * difference;
      norm += values[i] * values[i];
    }
  });
  return norm > 0 ? Math.sqrt(error / norm) : 0;
}

/** Exponent of float32, biased, of the smallest normal half, 2^-14. */
const SMALLEST_NORMAL = 113;

/** The bits of a half from those of a float32 and its value. */
function halfBits(float: number, value: number): number {
  const sign = (float >>> 16) & 0x8000;
  const magnitude = float & 0x7fffffff;
  // Below the normal numbers halves are whole multiples of 2^-24.
  if (magnitude >>> 23 < SMALLEST_NORMAL) return sign | roundHalfEven((value < 0 ? -value : value) * 2 ** 24);
  // Half of the last place that is kept, less 1 where that place is even: a carry rightly moves the exponent on.
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - ((SMALLEST_NORMAL - 1) << 23)) >>> 13);
}

let values: Float32Array | undefined;

/** The number of every half, by its bits. */
function halfValues(): Float32Array {
  values ??= toFloat32(
    Tensor.of(
      'float16',
      [0x10000],
      Uint16Array.from({ length: 0x10000 }, (_, bits) => bits),
    ),
  ).data;
  return values;
}
