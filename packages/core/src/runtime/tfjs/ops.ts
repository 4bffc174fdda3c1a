/** @file How TensorFlow.js computes each op: one entry per op of the op table. */
import type { OpName } from '../../ops';
import type { TfjsOp, Unsupported } from './call';
import { CONVOLUTION } from './ops/convolution';
import { ELEMENTWISE } from './ops/elementwise';
import { INDEXING } from './ops/indexing';
import { LAYOUT } from './ops/layout';
import { LINEAR } from './ops/linear';
import { REDUCING } from './ops/reduce';

const QUANTIZED: Unsupported = { unsupported: 'it has no integer matrix products and no quantized tensors' };

const BITS: Unsupported = { unsupported: 'it has no unsigned integers' };

export const TFJS_OPS: { readonly [Op in OpName]: TfjsOp | Unsupported } = {
  ...CONVOLUTION,
  ...ELEMENTWISE,
  ...INDEXING,
  ...LAYOUT,
  ...LINEAR,
  ...REDUCING,
  Einsum: { unsupported: 'write it with MatMul, Transpose and Reshape' },
  LSTM: { unsupported: 'unroll it first, as training does' },
  BitShift: BITS,
  BitwiseAnd: BITS,
  BitwiseOr: BITS,
  QuantizeLinear: QUANTIZED,
  DequantizeLinear: QUANTIZED,
  DynamicQuantizeLinear: QUANTIZED,
  MatMulInteger: QUANTIZED,
  QLinearMatMul: QUANTIZED,
  DynamicQuantizeMatMul: QUANTIZED,
  MatMulIntegerToFloat: QUANTIZED,
  MatMulNBits: QUANTIZED,
  GatherBlockQuantized: QUANTIZED,
};
