/** @file The op table: everything modelpress knows about operators, one rule each. */
import { BINARY_OPS } from './binary';
import { BITWISE_OPS } from './bitwise';
import { Cast } from './cast';
import { Constant, ConstantOfShape, Range, ShapeOp, Size } from './constants';
import { Conv, ConvTranspose } from './conv';
import { Dropout } from './dropout';
import { Einsum } from './einsum';
import { Gather, GatherElements, GatherND, OneHot } from './gather';
import { Gemm } from './gemm';
import { LayerNormalization } from './layer-normalization';
import { Expand, Tile, Transpose } from './layout';
import { LSTM } from './lstm';
import { FusedMatMul, MatMul } from './matmul';
import { ArgMax, CumSum, TopK, Trilu } from './ordering';
import { AveragePool, GlobalAveragePool, GlobalMaxPool, MaxPool } from './pool';
import { QUANTIZED_MICROSOFT_OPS, QUANTIZED_OPS } from './quantized';
import { REDUCE_OPS } from './reduce';
import { Flatten, Reshape, Squeeze, Unsqueeze } from './reshape';
import type { OpRule } from './rule';
import { ScatterElements, ScatterND } from './scatter';
import { Clip, Where } from './select';
import { Concat, Pad, Slice, Split } from './slicing';
import { LogSoftmax, Softmax } from './softmax';
import { UNARY_OPS } from './unary';

/** Operators of the standard ONNX domain. */
export const STANDARD_OPS = {
  ...UNARY_OPS,
  ...BINARY_OPS,
  ...BITWISE_OPS,
  ...REDUCE_OPS,
  ...QUANTIZED_OPS,
  ArgMax,
  AveragePool,
  Cast,
  Clip,
  Concat,
  Constant,
  ConstantOfShape,
  Conv,
  ConvTranspose,
  CumSum,
  Dropout,
  Einsum,
  Expand,
  Flatten,
  Gather,
  GatherElements,
  GatherND,
  Gemm,
  GlobalAveragePool,
  GlobalMaxPool,
  LSTM,
  LayerNormalization,
  LogSoftmax,
  MatMul,
  MaxPool,
  OneHot,
  Pad,
  Range,
  Reshape,
  ScatterElements,
  ScatterND,
  Shape: ShapeOp,
  Size,
  Slice,
  Softmax,
  Split,
  Squeeze,
  Tile,
  TopK,
  Transpose,
  Trilu,
  Unsqueeze,
  Where,
} satisfies Record<string, OpRule>;

/** Operators of ONNX Runtime's own domain, `com.microsoft`. */
export const MICROSOFT_OPS = {
  ...QUANTIZED_MICROSOFT_OPS,
  FusedMatMul,
} satisfies Record<string, OpRule>;

/** Every operator; a table of another subsystem is complete if it is a `Record<OpName, ...>`. */
export const OPS = { ...STANDARD_OPS, ...MICROSOFT_OPS } satisfies Record<string, OpRule>;

export type OpName = keyof typeof OPS;
