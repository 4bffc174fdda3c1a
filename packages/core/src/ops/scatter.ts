/** @file Ops that write by index: ScatterND, ScatterElements. */
import { sizeOf } from '../graph';
import type { Node, Tensor, Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import { fromNumbers, indicesOf, numbersOf, offsetOf, stridesOf } from './elements';
import { zeros } from './gradient';
import { checkIndices } from './gather';
import type { GradContext, InferContext, OpRule, ValueType } from './rule';
import { commonDtype } from './binary';
import { normalizeAxis, staticShape, unsupportedForm } from './shapes';

type Reduction = 'none' | 'add';

/** Writing either replaces or adds; max, min and mul are left out. */
function reductionOf(node: Node): Reduction {
  const reduction = node.attribute('reduction', 'string', 'none');
  if (reduction !== 'none' && reduction !== 'add')
    throw unsupportedForm(node, `reduction "${reduction}" is not supported.`);
  return reduction;
}

function infer(context: InferContext): ValueType[] {
  checkIndices(context, 1);
  reductionOf(context.node);
  return [{ dtype: commonDtype(context, [0, 2]), shape: context.type(0).shape }];
}

/**
 * y = x with updates u at the indices. Replacing: dx = g with zeros at the indices; adding: dx = g. du = g read there.
 */
function gradients(
  { node, outputGrads, wants, build }: GradContext,
  scatter: (data: Value, updates: Value) => Value,
  gather: (data: Value) => Value,
): (Value | null)[] {
  const g = outputGrads[0]!;
  const erased = (): Value => scatter(g, zerosLike(build, node.input(2)));
  return [wants(0) ? (reductionOf(node) === 'add' ? g : erased()) : null, null, wants(2) ? gather(g) : null];
}

const zerosLike = (build: GraphBuilder, value: Value): Value => zeros(build, staticShape(value));

/** Writes `updates` at flat positions of `x`. */
function write(x: Tensor, positions: Iterable<number>, updates: Tensor, reduction: Reduction): Tensor {
  const values = numbersOf(x);
  const news = updates.toNumbers();
  let next = 0;
  for (const position of positions) {
    const update = news[next++];
    values[position] = reduction === 'add' ? values[position] + update : update;
  }
  return fromNumbers(x.dtype, x.dims, values);
}

const wrap = (index: number, length: number): number => (index < 0 ? index + length : index);

export const ScatterND: OpRule = {
  infer,
  grad: (context) => {
    const { build, node } = context;
    const indices = node.input(1);
    return gradients(
      context,
      (data, updates) => build.op('ScatterND', [data, indices, updates]),
      (data) => build.op('GatherND', [data, indices]),
    );
  },
  evaluate: (node, [x, indices, updates]) => {
    const depth = indices!.dims.at(-1)!;
    const strides = stridesOf(x!.dims);
    const length = sizeOf(x!.dims.slice(depth));
    const coordinates = indices!.toNumbers();
    function* positions(): Generator<number> {
      for (let row = 0; row < coordinates.length; row += depth) {
        const index = coordinates.slice(row, row + depth).map((i, axis) => wrap(i, x!.dims[axis]));
        const start = offsetOf(index, strides.slice(0, depth));
        for (let i = 0; i < length; i++) yield start + i;
      }
    }
    return [write(x!, positions(), updates!, reductionOf(node))];
  },
};

export const ScatterElements: OpRule = {
  infer,
  grad: (context) => {
    const { build, node } = context;
    const indices = node.input(1);
    const axis = node.attribute('axis', 'int', 0);
    return gradients(
      context,
      (data, updates) => build.op('ScatterElements', [data, indices, updates], { axis }),
      (data) => build.op('GatherElements', [data, indices], { axis }),
    );
  },
  evaluate: (node, [x, indices, updates]) => {
    const axis = normalizeAxis(node, node.attribute('axis', 'int', 0), x!.dims.length);
    const strides = stridesOf(x!.dims);
    const along = indices!.toNumbers();
    function* positions(): Generator<number> {
      let next = 0;
      for (const index of indicesOf(indices!.dims)) {
        const position = wrap(along[next++], x!.dims[axis]);
        yield offsetOf(
          index.map((i, at) => (at === axis ? position : i)),
          strides,
        );
      }
    }
    return [write(x!, positions(), updates!, reductionOf(node))];
  },
};
