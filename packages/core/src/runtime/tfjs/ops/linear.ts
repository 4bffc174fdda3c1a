/** @file Matrix products. */
import type { Call, TfjsOp } from '../call';
import { refuse } from '../call';
import type { Tf, TfTensor } from '../library';

/** Matrix product with numpy's rules: vectors are padded to matrices, batch dimensions broadcast. */
function product(tf: Tf, a: TfTensor, b: TfTensor, transposeA = false, transposeB = false): TfTensor {
  const left = a.rank === 1 ? tf.expandDims(a, 0) : a;
  const right = b.rank === 1 ? tf.expandDims(b, 1) : b;
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(left.shape.slice(0, -2), right.shape.slice(0, -2));
  const spread = (x: TfTensor): TfTensor => tf.broadcastTo(x, [...batch, ...x.shape.slice(-2)]);
  const result = tf.matMul(spread(left), spread(right), transposeA, transposeB);
  const dims = result.shape.filter(
    (_, axis) => !(a.rank === 1 && axis === batch.length) && !(b.rank === 1 && axis === batch.length + 1),
  );
  return tf.reshape(result, dims);
}

const flag = ({ node }: Call, name: string): boolean => node.attribute(name, 'int', 0) === 1;

const FusedMatMul: TfjsOp = (call) => {
  const { tf, node, x } = call;
  if (flag(call, 'transBatchA') || flag(call, 'transBatchB')) refuse(call, 'batch transposition is not covered');
  const result = product(tf, x(0), x(1), flag(call, 'transA'), flag(call, 'transB'));
  return tf.mul(result, node.attribute('alpha', 'float', 1));
};

/** alpha A B + beta C */
const Gemm: TfjsOp = (call) => {
  const { tf, node, x, optional } = call;
  const result = tf.mul(
    product(tf, x(0), x(1), flag(call, 'transA'), flag(call, 'transB')),
    node.attribute('alpha', 'float', 1),
  );
  const c = optional(2);
  return c ? tf.add(result, tf.mul(c, node.attribute('beta', 'float', 1))) : result;
};

export const LINEAR = {
  MatMul: ({ tf, x }) => product(tf, x(0), x(1)),
  FusedMatMul,
  Gemm,
} satisfies Record<string, TfjsOp>;
