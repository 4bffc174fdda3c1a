/** @file Matrix products: MatMul and its transposing form FusedMatMul. */
import { formatShape, isFloat, sizeOf } from '../graph';
import type { Dim, Node, Shape, Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import { commonDtype } from './binary';
import { fromNumbers, broadcastDims, broadcastStrides, indicesOf, numbersOf, offsetOf } from './elements';
import { flattenRows, reshape, unbroadcast } from './gradient';
import { gemm, product, productGradients } from './product';
import type { GradContext, OpRule } from './rule';
import { broadcast, dimsClash, shapeError, staticShape } from './shapes';

/** Shape of A x B with numpy's rules: vectors are promoted, leading dimensions broadcast. */
export function matmulShape(node: Node, a: Shape, b: Shape): Shape {
  if (a.length === 0 || b.length === 0) throw shapeError(node, 'a scalar is not a matrix.');
  const left = a.length === 1 ? [1, ...a] : a;
  const right = b.length === 1 ? [...b, 1] : b;
  if (dimsClash(left.at(-1)!, right.at(-2)!)) {
    throw shapeError(node, `cannot multiply ${formatShape(a)} by ${formatShape(b)}: inner dimensions differ.`);
  }
  const matrix: Dim[] = [];
  if (a.length > 1) matrix.push(left.at(-2)!);
  if (b.length > 1) matrix.push(right.at(-1)!);
  return [...broadcast(node, left.slice(0, -2), right.slice(0, -2)), ...matrix];
}

/** 2 M N K for every matrix of the batch. */
export const matmulFlops = (node: Node): number => {
  const inner = node.attribute('transA', 'int', 0) === 1 ? -2 : -1;
  return 2 * sizeOf(staticShape(node.output(), node)) * (staticShape(node.input(0), node).at(inner) ?? 1);
};

/** Swaps the last two dimensions. */
export const swapLast = (shape: Shape): Shape => [...shape.slice(0, -2), ...shape.slice(-1), ...shape.slice(-2, -1)];

/** a b'. If b is itself a transpose (a tied language model head), the product takes what it was made from. */
function timesTransposed(build: GraphBuilder, a: Value, b: Value): Value {
  const isTranspose = b.producer?.opType === 'Transpose' && b.shape?.length === 2;
  return isTranspose ? gemm(build, a, b.producer!.input(0)) : gemm(build, a, b, { transB: true });
}

/**
 * Y = X W with a matrix W shared by all rows of X: dX = G W', dW = X' G on the flattened rows, as two Gemms.
 */
function sharedMatrixGrad({ build, node, wants, outputGrads }: GradContext): (Value | null)[] {
  const [x, w] = [node.input(0), node.input(1)];
  const rows = flattenRows(build, outputGrads[0]!);
  return [
    wants(0) ? reshape(build, timesTransposed(build, rows, w), staticShape(x)) : null,
    wants(1) ? gemm(build, flattenRows(build, x), rows, { transA: true }) : null,
  ];
}

export const MatMul: OpRule = {
  infer: (context) => [
    { dtype: commonDtype(context, [0, 1]), shape: matmulShape(context.node, context.shape(0), context.shape(1)) },
  ],
  /** Y = A B: dA = G B', dB = A' G, summed over broadcast batch dimensions. */
  grad: (context) => {
    const { build, node, wants } = context;
    const g = context.outputGrads[0]!;
    const [a, b] = [node.input(0), node.input(1)];
    const [aDims, bDims] = [staticShape(a, node), staticShape(b, node)];
    if (aDims.length > 1 && bDims.length === 2) return sharedMatrixGrad(context);
    // Vectors become matrices for the time being.
    const left = aDims.length === 1 ? reshape(build, a, [1, ...aDims]) : a;
    const right = bDims.length === 1 ? reshape(build, b, [...bDims, 1]) : b;
    const gDims = [...staticShape(g, node)];
    if (aDims.length === 1) gDims.splice(gDims.length - (bDims.length === 1 ? 0 : 1), 0, 1);
    if (bDims.length === 1) gDims.push(1);
    const matrix = reshape(build, g, gDims);
    const back = (gradient: Value, promoted: Value, dims: readonly number[]): Value =>
      reshape(build, unbroadcast(build, gradient, promoted), dims);
    return [
      wants(0) ? back(product(build, matrix, right, { transB: true }), left, aDims) : null,
      wants(1) ? back(product(build, left, matrix, { transA: true }), right, bDims) : null,
    ];
  },
  flops: matmulFlops,
  evaluate: (node, [a, b]) => {
    const aDims = a!.dims.length === 1 ? [1, ...a!.dims] : a!.dims;
    const bDims = b!.dims.length === 1 ? [...b!.dims, 1] : b!.dims;
    const batch = broadcastDims(aDims.slice(0, -2), bDims.slice(0, -2));
    const [rows, inner, columns] = [aDims.at(-2)!, aDims.at(-1)!, bDims.at(-1)!];
    const aStrides = broadcastStrides(aDims.slice(0, -2), batch.length);
    const bStrides = broadcastStrides(bDims.slice(0, -2), batch.length);
    const [aData, bData] = [numbersOf(a!), numbersOf(b!)];
    const values: number[] = [];
    for (const index of indicesOf(batch)) {
      const aStart = offsetOf(index, aStrides) * rows * inner;
      const bStart = offsetOf(index, bStrides) * inner * columns;
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++) {
          let sum = 0;
          for (let k = 0; k < inner; k++) sum += aData[aStart + i * inner + k] * bData[bStart + k * columns + j];
          values.push(sum);
        }
      }
    }
    return [fromNumbers(a!.dtype, matmulShape(node, a!.dims, b!.dims) as number[], values)];
  },
};

/** ONNX Runtime's alpha op(A) op(B), where op may swap the last two dimensions. */
export const FusedMatMul: OpRule = {
  infer: (context) => {
    const { node } = context;
    if (node.attribute('transBatchA', 'int', 0) !== 0 || node.attribute('transBatchB', 'int', 0) !== 0) {
      throw shapeError(node, 'transBatchA and transBatchB are not supported.');
    }
    const a = node.attribute('transA', 'int', 0) === 1 ? swapLast(context.shape(0)) : context.shape(0);
    const b = node.attribute('transB', 'int', 0) === 1 ? swapLast(context.shape(1)) : context.shape(1);
    const dtype = commonDtype(context, [0, 1]);
    if (!isFloat(dtype)) throw shapeError(node, `needs floating-point inputs, got ${dtype}.`);
    return [{ dtype, shape: matmulShape(node, a, b) }];
  },
  grad: (context) => {
    const { build, node, wants } = context;
    const { gradA, gradB } = productGradients(context, product);
    const [a, b] = [node.input(0), node.input(1)];
    return [wants(0) ? unbroadcast(build, gradA(), a) : null, wants(1) ? unbroadcast(build, gradB(), b) : null];
  },
  flops: matmulFlops,
};
