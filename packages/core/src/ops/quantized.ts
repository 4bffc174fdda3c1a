/** @file Integer arithmetic of quantized models. They are run and measured, never trained: gradients are forbidden. */
import { dtypeFromOnnx, formatShape, sizeOf } from '../graph';
import type { DType, Node, Shape } from '../graph';
import { matmulFlops, matmulShape } from './matmul';
import type { InferContext, OpRule, ValueType } from './rule';
import { dimsClash, dtypeError, shapeError, staticShape } from './shapes';

const quantized = (infer: OpRule['infer'], flops?: OpRule['flops']): OpRule => ({
  infer,
  grad: 'forbidden',
  ...(flops ? { flops } : {}),
});

/** The element type of an optional zero point, or `fallback`. */
const zeroPointType = (context: InferContext, index: number, fallback: DType): DType =>
  context.node.inputs[index] ? context.type(index).dtype : fallback;

function quantizedType(context: InferContext): DType {
  const code = context.node.attribute('output_dtype', 'int', 0);
  const asked = code === 0 ? 'uint8' : dtypeFromOnnx(code);
  if (!asked) throw dtypeError(context.node, `quantizes to element type ${code}, which is not supported.`);
  return zeroPointType(context, 2, asked);
}

const product =
  (dtype: DType | ((context: InferContext) => DType), a = 0, b = 1) =>
  (context: InferContext): ValueType[] => [
    {
      dtype: typeof dtype === 'string' ? dtype : dtype(context),
      shape: matmulShape(context.node, context.shape(a), context.shape(b)),
    },
  ];

/** A weight of K x N packed in blocks: the output keeps the leading dimensions of the input. */
function packedProduct(context: InferContext): ValueType[] {
  const { node, shape, type } = context;
  const [k, n] = [node.attribute('K', 'int'), node.attribute('N', 'int')];
  const dims = shape(0);
  if (k === undefined || n === undefined || dims.length === 0 || dimsClash(dims.at(-1)!, k)) {
    throw shapeError(node, `weight of ${k} x ${n} does not fit an input of shape ${formatShape(dims)}.`);
  }
  return [{ dtype: type(0).dtype, shape: [...dims.slice(0, -1), n] }];
}

const packedFlops = (node: Node): number =>
  2 * sizeOf(staticShape(node.output(), node)) * node.attribute('K', 'int', 0);

/** Rows of a table quantized along its last axis; 4-bit tables in uint8 hold two elements a byte. */
function gatheredRows({ node, type, shape }: InferContext): ValueType[] {
  const table = shape(0);
  const width = table.at(-1);
  const perByte = type(0).dtype === 'uint8' ? 8 / node.attribute('bits', 'int', 4) : 1;
  const columns: Shape = typeof width === 'number' ? [...table.slice(1, -1), width * perByte] : table.slice(1);
  if (node.attribute('gather_axis', 'int', 0) !== 0) throw shapeError(node, 'gathers along an axis other than 0.');
  return [{ dtype: type(2).dtype, shape: [...shape(1), ...columns] }];
}

export const QUANTIZED_OPS = {
  QuantizeLinear: quantized((context) => [{ dtype: quantizedType(context), shape: context.type(0).shape }]),
  DequantizeLinear: quantized(({ type }) => [{ dtype: type(1).dtype, shape: type(0).shape }]),
  DynamicQuantizeLinear: quantized(({ type }) => [
    { dtype: 'uint8', shape: type(0).shape },
    { dtype: 'float32', shape: [] },
    { dtype: 'uint8', shape: [] },
  ]),
  MatMulInteger: quantized(product('int32'), matmulFlops),
  QLinearMatMul: quantized(
    product((context) => context.type(7).dtype, 0, 3),
    matmulFlops,
  ),
} satisfies Record<string, OpRule>;

/** The same in ONNX Runtime's domain. */
export const QUANTIZED_MICROSOFT_OPS = {
  DynamicQuantizeMatMul: quantized(product('float32'), matmulFlops),
  MatMulIntegerToFloat: quantized(product('float32'), matmulFlops),
  MatMulNBits: quantized(packedProduct, packedFlops),
  GatherBlockQuantized: quantized(gatheredRows),
} satisfies Record<string, OpRule>;
