/** @file Matrix products as gradient rules emit them, with transposes, factors and sums folded into the product. */
import { float } from '../graph';
import type { Value } from '../graph';
import type { AttributeInput, GraphBuilder } from '../graph/builder';
import { flattenRows, reshape } from './gradient';
import type { GradContext } from './rule';
import { staticShape } from './shapes';

interface ProductOptions {
  readonly transA?: boolean;
  readonly transB?: boolean;
  readonly alpha?: number;
}

const productAttributes = ({ transA, transB, alpha = 1 }: ProductOptions): Record<string, AttributeInput> => ({
  ...(transA ? { transA: 1 } : {}),
  ...(transB ? { transB: 1 } : {}),
  ...(alpha === 1 ? {} : { alpha: float(alpha) }),
});

/** alpha op(a) op(b), where op transposes the last two dimensions if told. */
export function product(build: GraphBuilder, a: Value, b: Value, options: ProductOptions = {}): Value {
  const attributes = productAttributes(options);
  return build.op(Object.keys(attributes).length === 0 ? 'MatMul' : 'FusedMatMul', [a, b], attributes);
}

/** alpha op(a) op(b) + addend, of matrices. */
export function gemm(
  build: GraphBuilder,
  a: Value,
  b: Value,
  options: ProductOptions & { readonly addend?: Value } = {},
): Value {
  const { addend } = options;
  return build.op('Gemm', addend ? [a, b, addend] : [a, b], productAttributes(options));
}

/**
 * The gradients of Y = s op(A) op(B), given as functions because a rule makes only those that are wanted:
 * Y = s A B : dA = s G B',  dB = s A' G        Y = s A B' : dA = s G B,   dB = s G' A
 * Y = s A' B: dA = s B G',  dB = s A G         Y = s A' B': dA = s B' G', dB = s G' A'
 */
export function productGradients(
  { build, node, outputGrads }: GradContext,
  make: typeof product | typeof gemm,
): { gradA: () => Value; gradB: () => Value } {
  const g = outputGrads[0]!;
  const [a, b] = [node.input(0), node.input(1)];
  const transA = node.attribute('transA', 'int', 0) === 1;
  const transB = node.attribute('transB', 'int', 0) === 1;
  const alpha = node.attribute('alpha', 'float', 1);
  return {
    gradA: () =>
      transA
        ? make(build, b, g, { transA: transB, transB: true, alpha })
        : make(build, g, b, { transB: !transB, alpha }),
    gradB: () =>
      transB
        ? make(build, g, a, { transA: true, transB: transA, alpha })
        : make(build, a, g, { transA: !transA, alpha }),
  };
}

/** A matrix product without an addend, and how it was made. */
interface Product extends Required<ProductOptions> {
  readonly a: Value;
  readonly b: Value;
  readonly make: typeof product | typeof gemm;
}

/** The product that `value` is the result of, if it is one. */
function productOf({ producer: node }: Value): Product | null {
  const isProduct = node?.opType === 'MatMul' || node?.opType === 'FusedMatMul' || node?.opType === 'Gemm';
  if (!isProduct || node.inputs.length !== 2) return null;
  return {
    a: node.input(0),
    b: node.input(1),
    transA: node.attribute('transA', 'int', 0) === 1,
    transB: node.attribute('transB', 'int', 0) === 1,
    alpha: node.attribute('alpha', 'float', 1),
    make: node.opType === 'Gemm' ? gemm : product,
  };
}

/**
 * The transpose of a matrix product that was just made, without moving an element: (op(A) op(B))' = op(B)' op(A)'.
 * @returns null if `value` is no such product
 */
export function transposedProduct(build: GraphBuilder, value: Value): Value | null {
  const found = productOf(value);
  if (!found || staticShape(found.a).length < 2 || staticShape(found.b).length < 2) return null;
  const { a, b, transA, transB, alpha, make } = found;
  return make(build, b, a, { transA: !transB, transB: !transA, alpha });
}

/** The product behind `value`, a Reshape of it included, if nothing has read it: it may still be made differently. */
function unreadProduct(value: Value): Product | null {
  const isReshaped = value.producer?.opType === 'Reshape';
  const result = isReshaped ? value.producer!.input(0) : value;
  const isUnread = value.uses.size === 0 && result.uses.size === Number(isReshaped);
  return isUnread ? productOf(result) : null;
}

/** factor x value; a product that nothing has read is made again with the factor in it. */
export function scaled(build: GraphBuilder, value: Value, factor: number): Value {
  const found = unreadProduct(value);
  if (!found) return build.op('Mul', [value, build.scalar(factor)]);
  const { a, b, make, ...options } = found;
  return reshape(build, make(build, a, b, { ...options, alpha: options.alpha * factor }), staticShape(value));
}

/** Whether `addGemm` can take `value`. */
export const isUnreadGemm = (value: Value): boolean => unreadProduct(value)?.make === gemm;

/** total + value, where value is an unread Gemm: the product is made again with the total as its addend. */
export function addGemm(build: GraphBuilder, total: Value, value: Value): Value {
  const { a, b, ...options } = unreadProduct(value)!;
  const sum = gemm(build, a, b, { ...options, addend: flattenRows(build, total) });
  return reshape(build, sum, staticShape(value));
}
