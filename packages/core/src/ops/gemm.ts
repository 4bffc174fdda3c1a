import { formatShape } from '../graph';
import type { Value } from '../graph';
import { commonDtype } from './binary';
import { unbroadcast } from './gradient';
import { matmulFlops, swapLast } from './matmul';
import { gemm, productGradients } from './product';
import type { OpRule } from './rule';
import { broadcast, dimsClash, shapeError } from './shapes';

/** Y = alpha op(A) op(B) + beta C, where op transposes if told and C broadcasts to Y. */
export const Gemm: OpRule = {
  infer: (context) => {
    const { node } = context;
    const a = node.attribute('transA', 'int', 0) === 1 ? swapLast(context.shape(0)) : context.shape(0);
    const b = node.attribute('transB', 'int', 0) === 1 ? swapLast(context.shape(1)) : context.shape(1);
    if (a.length !== 2 || b.length !== 2) throw shapeError(node, 'both factors must be matrices.');
    if (dimsClash(a[1], b[0])) {
      throw shapeError(node, `cannot multiply ${formatShape(a)} by ${formatShape(b)}: inner dimensions differ.`);
    }
    const shape = [a[0], b[1]];
    const hasBias = Boolean(node.inputs[2]);
    if (hasBias) broadcast(node, shape, context.shape(2));
    return [{ dtype: commonDtype(context, hasBias ? [0, 1, 2] : [0, 1]), shape }];
  },
  /** dC = beta G summed to C's shape. */
  grad: (context) => {
    const { build, node, outputGrads, wants } = context;
    const { gradA, gradB } = productGradients(context, gemm);
    const beta = node.attribute('beta', 'float', 1);
    const gradC = (): Value => {
      const sum = unbroadcast(build, outputGrads[0]!, node.input(2));
      return beta === 1 ? sum : build.op('Mul', [sum, build.scalar(beta)]);
    };
    return [wants(0) ? gradA() : null, wants(1) ? gradB() : null, wants(2) ? gradC() : null];
  },
  flops: matmulFlops,
};
