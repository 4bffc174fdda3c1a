/** @file Conversion of stored floating-point types to float32, in which everything is computed. */
import { Tensor } from '../graph';
import { unsupported } from '../errors';

/** 2^(8-bit exponent) for a bfloat16 is float32's: its bits are the upper half of a float32. */
function fromBfloat16(bits: Uint16Array): Float32Array {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = bits[i] << 16;
  return new Float32Array(out.buffer);
}

/** IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits; subnormals, infinities and NaN included. */
function fromFloat16(bits: Uint16Array): Float32Array {
  const out = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const half = bits[i];
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0) out[i] = sign * fraction * 2 ** -24;
    else if (exponent === 31) out[i] = fraction === 0 ? sign * Infinity : NaN;
    else out[i] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return out;
}

/**
 * The same numbers as float32; float64 is rounded. The tensor itself when it is float32 already.
 * @throws `tensor.not-float` for integer tensors
 */
export function toFloat32(tensor: Tensor): Tensor<'float32'> {
  if (tensor.is('float32')) return tensor;
  if (tensor.is('bfloat16')) return Tensor.float32(tensor.dims, fromBfloat16(tensor.data));
  if (tensor.is('float16')) return Tensor.float32(tensor.dims, fromFloat16(tensor.data));
  if (tensor.is('float64')) return Tensor.float32(tensor.dims, Float32Array.from(tensor.data));
  throw unsupported('tensor.not-float', `A ${tensor.dtype} tensor cannot be used as floating-point weights.`);
}
