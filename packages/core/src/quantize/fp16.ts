/** @file Weights stored in half precision: a Cast to float32 in front of their readers, computed when the model is loaded. */
import { DTYPES, int, Node, ONNX_DOMAIN, Tensor, Value } from '../graph';
import type { Graph } from '../graph';
import type { ReplacedWeight } from './weight';

/** Largest finite number of half precision. */
export const HALF_MAX = 65504;

/** Stores an initializer as float16 under its name; its readers get it through a Cast. */
export function storeHalf(graph: Graph, weight: Value): ReplacedWeight {
  const { name } = weight;
  const tensor = weight.constant as Tensor<'float32'>;
  const { halves, relativeError } = toHalf(tensor.data);
  const [first] = weight.consumers;
  const readers = [...weight.uses];
  graph.renameValue(weight, graph.uniqueName(`${name}_float32`));
  const stored = graph.addInitializer(name, Tensor.of('float16', tensor.dims, halves));
  const cast = new Value(graph.uniqueName(`${name}_Cast`), { dtype: 'float32', shape: tensor.dims });
  const attributes = new Map([['to', int(DTYPES.float32.onnx)]]);
  graph.addNode(new Node('Cast', ONNX_DOMAIN, cast.name, [stored], [cast], attributes), first);
  for (const { node, index } of readers) graph.setInput(node, index, cast);
  graph.removeValue(weight);
  const bytesBefore = tensor.bytes.byteLength;
  return { bytesBefore, bytesAfter: bytesBefore / 2, relativeError, transposed: false };
}

/** Rounds to half precision, ties to even. */
export function toHalf(values: Float32Array): { halves: Uint16Array; relativeError: number } {
  const halves = new Uint16Array(values.length);
  let [error, norm] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    halves[i] = halfBits(value);
    norm += value * value;
    error += (value - halfValue(halves[i])) ** 2;
  }
  return { halves, relativeError: norm > 0 ? Math.sqrt(error / norm) : 0 };
}

/** Bits of the binary16 nearest to a number of magnitude up to 65504. */
function halfBits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  // The spacing of halves at this magnitude; 2^-24 among the subnormal ones.
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)));
  const steps = roundHalfEven(magnitude / 2 ** (exponent - 10));
  // Adding steps to the exponent's field carries by itself where rounding reaches the next power of two.
  return sign | (exponent === -14 ? steps : ((exponent + 14) << 10) + steps);
}

function halfValue(bits: number): number {
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -magnitude : magnitude;
}

function roundHalfEven(x: number): number {
  const down = Math.floor(x);
  const rest = x - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}
