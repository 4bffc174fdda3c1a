/** @file Ops that read or write elements by index. Indices may be negative, which TensorFlow.js does not know. */
import type { Call, TfjsOp } from '../call';
import { axisOf, refuse } from '../call';
import type { Tf, TfTensor } from '../library';

/** Indices counted from the front. `dims` broadcasts against them. */
const fromFront = (tf: Tf, indices: TfTensor, dims: TfTensor): TfTensor =>
  tf.where(tf.less(indices, 0), tf.add(indices, dims), indices);

const Gather: TfjsOp = ({ tf, node, x }) => {
  const axis = axisOf(node.attribute('axis', 'int', 0), x(0).rank);
  return tf.gather(x(0), fromFront(tf, x(1), tf.scalar(x(0).shape[axis], 'int32')), axis);
};

/** Index vectors [..., k] of GatherND and ScatterND. */
const vectors = ({ tf, x }: Call): TfTensor =>
  fromFront(tf, x(1), tf.tensor1d(x(0).shape.slice(0, x(1).shape.at(-1)), 'int32'));

/** Index vectors [elements, rank] of GatherElements and ScatterElements: own position, but the index along `axis`. */
function elementVectors({ tf, node, x }: Call): TfTensor {
  const [input, indices] = [x(0), x(1)];
  const along = axisOf(node.attribute('axis', 'int', 0), input.rank);
  const columns = indices.shape.map((size, axis) => {
    if (axis === along) return fromFront(tf, indices, tf.scalar(input.shape[axis], 'int32'));
    const dims = indices.shape.map((_, i) => (i === axis ? size : 1));
    return tf.broadcastTo(tf.reshape(tf.range(0, size, 1, 'int32'), dims), indices.shape);
  });
  return tf.reshape(tf.stack(columns, -1), [indices.size, input.rank]);
}

const GatherND: TfjsOp = (call) => {
  const { tf, node, x } = call;
  if (node.attribute('batch_dims', 'int', 0) !== 0) refuse(call, 'batch_dims is not covered');
  return tf.gatherND(x(0), vectors(call));
};

/** Writes or adds `updates` [n, ...rest] at `positions` [n, k]. */
function scatter(call: Call, positions: TfTensor, updates: TfTensor): TfTensor {
  const { tf, node, x } = call;
  const reduction = node.attribute('reduction', 'string', 'none');
  // The CPU backend writes into the very tensor it is given, so it gets a copy.
  if (reduction === 'none') return tf.tensorScatterUpdate(tf.add(x(0), tf.zerosLike(x(0))), positions, updates);
  if (reduction === 'add') return tf.add(x(0), tf.scatterND(positions, updates, x(0).shape));
  return refuse(call, `reduction "${reduction}" is not covered`);
}

const ScatterND: TfjsOp = (call) => {
  const { tf, x } = call;
  const depth = x(1).shape[x(1).rank - 1];
  const positions = tf.reshape(vectors(call), [-1, depth]);
  return scatter(call, positions, tf.reshape(x(2), [positions.shape[0], ...x(0).shape.slice(depth)]));
};

const OneHot: TfjsOp = ({ tf, node, x, numbers }) => {
  const depth = numbers(1)[0];
  const [off, on] = numbers(2);
  const indices = fromFront(tf, tf.cast(x(0), 'int32'), tf.scalar(depth, 'int32'));
  const last = tf.cast(tf.oneHot(indices, depth, on, off), x(2).dtype);
  const axis = axisOf(node.attribute('axis', 'int', -1), last.rank);
  const order = indices.shape.map((_, i) => i);
  order.splice(axis, 0, last.rank - 1);
  return tf.transpose(last, order);
};

export const INDEXING = {
  Gather,
  GatherElements: (call) => call.tf.reshape(call.tf.gatherND(call.x(0), elementVectors(call)), call.x(1).shape),
  GatherND,
  ScatterElements: (call) => scatter(call, elementVectors(call), call.tf.reshape(call.x(2), [call.x(2).size])),
  ScatterND,
  OneHot,
} satisfies Record<string, TfjsOp>;
