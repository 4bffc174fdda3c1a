import { float, int, MICROSOFT_DOMAIN, ONNX_DOMAIN } from '../../../graph';
import type { Dim, Model, Node, Shape, Value } from '../../../graph';
import type { Pass } from '../../../passes';
import { operandsOf, scalarOf } from '../../../passes/rewrite';
import { onlyReader } from './match';
import { substitute } from './substitute';

/** Below these sizes packing costs more than the faster product gives. */
const MIN_SIDE = 16;
const MIN_PRODUCT = 2 ** 15;

/** alpha op(A) op(B) + C, whatever the op it is written as. */
interface Product {
  /** The node to replace: the one that makes the sum. */
  readonly last: Node;
  readonly a: Value;
  readonly b: Value;
  readonly c: Value | null;
  readonly transA: boolean;
  readonly transB: boolean;
  readonly alpha: number;
}

/**
 * Computes matrix products in bfloat16 where that pays:
 * ```
 * %p = MatMul(%x, %w)
 * %y = Add(%p, %bias)              ->   %y = modelpress.Bf16Gemm(%x, %w, %bias)
 * %d = Gemm(%g, %w, %r) {transB: 1}   ->   %d = modelpress.Bf16Gemm(%g, %w, %r) {transB: 1}
 * ```
 * Small products, those with vectors (means, sums over rows) and those of unknown shape stay as they are.
 */
export const lowerProducts: Pass = (model) => {
  let modified = false;
  for (const node of model.graph.nodes) {
    const product = productOf(node);
    if (!product || !pays(product)) continue;
    replace(model, extended(model, product));
    modified = true;
  }
  return { modified };
};

function replace(model: Model, { last, a, b, c, transA, transB, alpha }: Product): void {
  const attributes = {
    ...(transA && { transA: int(1) }),
    ...(transB && { transB: int(1) }),
    ...(alpha !== 1 && { alpha: float(alpha) }),
  };
  substitute(model, last, { op: 'Bf16Gemm', inputs: [a, b, ...(c ? [c] : [])], replaces: [last.output()], attributes });
}

function productOf(node: Node): Product | undefined {
  const isStandard = node.domain === ONNX_DOMAIN && (node.opType === 'MatMul' || node.opType === 'Gemm');
  const isFused = node.domain === MICROSOFT_DOMAIN && node.opType === 'FusedMatMul';
  if (!isStandard && !isFused) return undefined;
  const [a, b, c = null] = node.inputs;
  if (!a?.shape || !b?.shape || a.dtype !== 'float32' || b.dtype !== 'float32') return undefined;
  if (node.attribute('transBatchA', 'int', 0) || node.attribute('transBatchB', 'int', 0)) return undefined;
  const product: Product = {
    last: node,
    a,
    b,
    c,
    transA: node.attribute('transA', 'int', 0) === 1,
    transB: node.attribute('transB', 'int', 0) === 1,
    alpha: node.attribute('alpha', 'float', 1),
  };
  return fits(product, a.shape, b.shape) && addsPlainly(product, node) ? product : undefined;
}

/** Whether Bf16Gemm takes operands of these shapes: B is a matrix, or both are batches of the same size. */
function fits({ transA }: Product, a: Shape, b: Shape): boolean {
  if (a.length < 2 || b.length < 2) return false;
  if (b.length === 2) return a.length === 2 || !transA;
  return a.length === b.length && a.slice(0, -2).every((dim, i) => dim === b[i]);
}

/** Whether C, if there is one, is a row or a matrix of the size of the product. */
function addsPlainly({ c }: Product, node: Node): boolean {
  if (!c) return true;
  if (node.attribute('beta', 'float', 1) !== 1 || c.dtype !== 'float32') return false;
  const [rows, columns] = node.output().shape ?? [];
  const { shape } = c;
  if (shape?.length === 1) return shape[0] === columns;
  return shape?.length === 2 && shape[0] === rows && shape[1] === columns;
}

/** A dynamic dimension counts as large: it is the batch or the sequence. */
const size = (dim: Dim): number => (typeof dim === 'number' ? dim : Infinity);

function pays({ a, b, transA, transB }: Product): boolean {
  const [rows, inner] = ((dims: number[]) => (transA ? dims.toReversed() : dims))(a.shape!.slice(-2).map(size));
  const columns = size(b.shape!.at(transB ? -2 : -1)!);
  // with B a matrix the leading dimensions of A are rows, too
  const leading = b.shape!.length === 2 ? a.shape!.slice(0, -2).reduce<number>((all, dim) => all * size(dim), 1) : 1;
  const all = leading * rows;
  return Math.min(all, inner, columns) >= MIN_SIDE && all * inner * columns >= MIN_PRODUCT;
}

/** Takes in a factor that the operands or the product are multiplied with, and a bias, where nothing else reads them. */
const extended = (model: Model, product: Product): Product =>
  withBias(model, withFactor(model, withoutFactors(product)));

/** The operands without constant factors, which go into alpha: they are applied once instead of to every element. */
function withoutFactors(product: Product): Product {
  const [a, b] = [product.a, product.b].map(factorOf);
  return { ...product, a: a.value, b: b.value, alpha: product.alpha * a.factor * b.factor };
}

function factorOf(value: Value): { value: Value; factor: number } {
  for (const [rest, constant] of operandsOf(value.producer, 'Mul')) {
    const factor = scalarOf(constant);
    if (factor !== undefined && rest.dtype === 'float32' && rest.shape?.length === value.shape?.length) {
      return { value: rest, factor };
    }
  }
  return { value, factor: 1 };
}

function withFactor({ graph }: Model, product: Product): Product {
  const output = product.last.output();
  const reader = onlyReader(output);
  const [found] = operandsOf(reader, 'Mul').filter(([value, constant]) => value === output && scalarOf(constant));
  if (product.c || !reader || !found || graph.outputs.includes(output)) return product;
  return { ...product, last: reader, alpha: product.alpha * scalarOf(found[1])! };
}

function withBias({ graph }: Model, product: Product): Product {
  const output = product.last.output();
  const reader = onlyReader(output);
  const [found] = operandsOf(reader, 'Add').filter(([value]) => value === output);
  if (product.c || !reader || !found || graph.outputs.includes(output)) return product;
  const [, bias] = found;
  const columns = output.shape?.at(-1);
  const isRow = bias.dtype === 'float32' && bias.shape?.length === 1 && bias.shape[0] === columns;
  return isRow && columns !== undefined ? { ...product, last: reader, c: bias } : product;
}
