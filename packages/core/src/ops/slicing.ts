/** @file Ops that cut and join along axes: Slice, Split, Concat, Pad. */
import { formatShape, sizeOf } from '../graph';
import type { Dim, Node, Shape, Tensor, Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import { commonDtype } from './binary';
import { constantOf } from './constant-value';
import { fromNumbers, numbersOf, offsetOf, pick, stridesOf } from './elements';
import { scatterAlongAxis, zeros } from './gradient';
import type { OpRule } from './rule';
import { dimsClash, freshDim, normalizeAxis, shapeError, staticShape, unsupportedForm, withDim } from './shapes';

/** One axis of a slice: indices start, start + step, ... (`length` of them). */
interface AxisSlice {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  readonly length: number;
}

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** Numpy's slice semantics: negative positions count from the end, positions outside are clamped. */
function axisSlice(axis: number, dim: number, start: number, end: number, step: number): AxisSlice {
  const wrap = (position: number): number => (position < 0 ? position + dim : position);
  const first = step > 0 ? clamp(wrap(start), 0, dim) : clamp(wrap(start), -1, dim - 1);
  const last = step > 0 ? clamp(wrap(end), 0, dim) : clamp(wrap(end), -1, dim - 1);
  return { axis, start: first, step, length: Math.max(0, Math.ceil((last - first) / step)) };
}

interface SliceArguments {
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly axes: readonly number[];
  readonly steps: readonly number[];
}

/** Starts, ends, axes and steps, if all are constant. */
function sliceArguments(
  node: Node,
  rank: number,
  constant: (index: number) => Tensor | undefined,
): SliceArguments | undefined {
  const [starts, ends] = [constant(1)?.toNumbers(), constant(2)?.toNumbers()];
  if (!starts || !ends) return undefined;
  const optional = (index: number, fallback: readonly number[]): readonly number[] | undefined =>
    node.inputs[index] ? constant(index)?.toNumbers() : fallback;
  const axes = optional(
    3,
    starts.map((_, axis) => axis),
  );
  const steps = optional(
    4,
    starts.map(() => 1),
  );
  if (!axes || !steps) return undefined;
  if (steps.includes(0)) throw shapeError(node, 'a step is 0.');
  return { starts, ends, axes: axes.map((axis) => normalizeAxis(node, axis, rank)), steps };
}

const axisSlices = (dims: readonly number[], { starts, ends, axes, steps }: SliceArguments): AxisSlice[] =>
  axes.map((axis, i) => axisSlice(axis, dims[axis], starts[i], ends[i], steps[i]));

/** A dimension after slicing; symbolic ones are known only when the slice takes everything. */
function slicedDim(node: Node, axis: number, dim: Dim, start: number, end: number, step: number): Dim {
  if (typeof dim === 'number') return axisSlice(axis, dim, start, end, step).length;
  return start === 0 && step === 1 && end >= 2 ** 31 - 1 ? dim : freshDim(node, axis);
}

export const Slice: OpRule = {
  infer: ({ node, type, shape, constant }) => {
    const dims = shape(0);
    const given = sliceArguments(node, dims.length, constant);
    const { dtype } = type(0);
    if (!given) {
      const axes = constant(3)
        ?.toNumbers()
        .map((axis) => normalizeAxis(node, axis, dims.length));
      return [{ dtype, shape: dims.map((dim, axis) => (axes && !axes.includes(axis) ? dim : freshDim(node, axis))) }];
    }
    const { axes, starts, ends, steps } = given;
    const sliced = axes.reduce<Shape>(
      (now, axis, i) => withDim(now, axis, slicedDim(node, axis, dims[axis], starts[i], ends[i], steps[i])),
      dims,
    );
    return [{ dtype, shape: sliced }];
  },
  /** A forward slice is undone by padding with zeros, other steps by scattering into zeros. */
  grad: ({ build, node, outputGrads }) => {
    const dims = staticShape(node.input(0), node);
    const given = sliceArguments(node, dims.length, (index) => constantOf(node.inputs[index]));
    if (!given) throw unsupportedForm(node, 'its bounds are not constant.');
    const slices = axisSlices(dims, given);
    const before = dims.map((_, axis) => slices.find((slice) => slice.axis === axis && slice.step === 1)?.start ?? 0);
    const after = dims.map((dim, axis) => {
      const slice = slices.find((slice) => slice.axis === axis && slice.step === 1);
      return slice ? dim - slice.start - slice.length : 0;
    });
    const strided = slices.filter((slice) => slice.step !== 1);
    const padded = padZeros(build, outputGrads[0]!, before, after);
    return [
      strided.reduce((gradient, { axis, start, step, length }) => {
        const indices = Array.from({ length }, (_, i) => start + i * step);
        return scatterAlongAxis(build, gradient, axis, build.int64s(indices), dims[axis]);
      }, padded),
    ];
  },
  evaluate: (node, inputs) => {
    const x = inputs[0]!;
    const slices = axisSlices(
      x.dims,
      sliceArguments(node, x.dims.length, (index) => inputs[index] ?? undefined)!,
    );
    const dims = slices.reduce(
      (now, { axis, length }) => withDim(now, axis, length),
      x.dims as Shape,
    ) as readonly number[];
    const strides = stridesOf(x.dims);
    const base = slices.reduce((offset, { axis, start }) => offset + start * strides[axis], 0);
    const stepped = strides.map((stride, axis) => stride * (slices.find((slice) => slice.axis === axis)?.step ?? 1));
    return [pick(x, dims, (index) => base + offsetOf(index, stepped))];
  },
};

/** Pads with zeros; no node when there is nothing to pad. */
export function padZeros(
  build: GraphBuilder,
  value: Value,
  before: readonly number[],
  after: readonly number[],
): Value {
  const pads = [...before, ...after];
  return pads.every((pad) => pad === 0) ? value : build.op('Pad', [value, build.int64s(pads)]);
}

/** Slice of `length` elements from `start` along one axis. */
const sliceAxis = (build: GraphBuilder, value: Value, axis: number, start: number, length: number): Value =>
  build.op('Slice', [value, build.int64s([start]), build.int64s([start + length]), build.int64s([axis])]);

export const Concat: OpRule = {
  infer: (context) => {
    const { node } = context;
    const indices = node.inputs.map((_, index) => index);
    const shapes = indices.map(context.shape);
    const first = context.shape(0);
    const axis = normalizeAxis(node, node.attribute('axis', 'int', 0), first.length);
    for (const shape of shapes) {
      if (shape.length !== first.length || shape.some((dim, i) => i !== axis && dimsClash(dim, first[i]))) {
        throw shapeError(node, `cannot join ${shapes.map(formatShape).join(' and ')} along axis ${axis}.`);
      }
    }
    const lengths = shapes.map((shape) => shape[axis]);
    const total = lengths.every((dim) => typeof dim === 'number')
      ? lengths.reduce((sum, dim) => sum + dim, 0)
      : lengths.length === 1
        ? lengths[0]
        : freshDim(node, axis);
    return [{ dtype: commonDtype(context, indices), shape: withDim(first, axis, total) }];
  },
  grad: ({ build, node, outputGrads, wants }) => {
    const g = outputGrads[0]!;
    const shapes = node.inputs.map((_, index) => staticShape(node.input(index), node));
    const axis = normalizeAxis(node, node.attribute('axis', 'int', 0), shapes[0].length);
    const lengths = shapes.map((shape) => shape[axis]);
    const wanted = lengths.filter((_, index) => wants(index)).length;
    if (wanted === lengths.length && wanted > 1) {
      return build.ops('Split', [g, build.int64s(lengths)], { axis }, lengths.length);
    }
    let start = 0;
    return lengths.map((length, index) => {
      const from = start;
      start += length;
      return wants(index) ? sliceAxis(build, g, axis, from, length) : null;
    });
  },
  evaluate: (node, inputs) => {
    const tensors = inputs as readonly Tensor[];
    const axis = normalizeAxis(node, node.attribute('axis', 'int', 0), tensors[0].dims.length);
    const outer = sizeOf(tensors[0].dims.slice(0, axis));
    const lists = tensors.map(numbersOf);
    const values: number[] = [];
    for (let block = 0; block < outer; block++) {
      for (const list of lists) {
        const length = list.length / outer;
        values.push(...list.slice(block * length, (block + 1) * length));
      }
    }
    const total = tensors.reduce((sum, { dims }) => sum + dims[axis], 0);
    return [fromNumbers(tensors[0].dtype, withDim(tensors[0].dims, axis, total) as readonly number[], values)];
  },
};

/** Lengths of a Split's outputs: given, or equal parts of which the last may be shorter (opset 18). */
function splitLengths(node: Node, dim: Dim, axis: number, given: readonly number[] | undefined): readonly Dim[] {
  const parts = node.outputs.length;
  if (given) {
    if (
      given.length !== parts ||
      dimsClash(
        dim,
        given.reduce((sum, length) => sum + length, 0),
      )
    ) {
      throw shapeError(node, `cannot split dimension ${dim} into ${formatShape(given)}.`);
    }
    return given;
  }
  if (typeof dim === 'string') return node.outputs.map((_, output) => freshDim(node, axis, output));
  const part = Math.ceil(dim / parts);
  return node.outputs.map((_, output) => clamp(dim - output * part, 0, part));
}

export const Split: OpRule = {
  infer: ({ node, type, shape, constant }) => {
    const dims = shape(0);
    const axis = normalizeAxis(node, node.attribute('axis', 'int', 0), dims.length);
    if (node.inputs[1] && !constant(1)) throw unsupportedForm(node, 'its lengths are not constant.');
    const lengths = splitLengths(node, dims[axis], axis, constant(1)?.toNumbers());
    return lengths.map((length) => ({ dtype: type(0).dtype, shape: withDim(dims, axis, length) }));
  },
  grad: ({ build, node, outputGrads }) => {
    const parts = outputGrads.map((g, output) => g ?? zeros(build, staticShape(node.output(output), node)));
    const axis = node.attribute('axis', 'int', 0);
    return [build.op('Concat', parts, { axis })];
  },
  evaluate: (node, [x]) => {
    const axis = normalizeAxis(node, node.attribute('axis', 'int', 0), x!.dims.length);
    const strides = stridesOf(x!.dims);
    let start = 0;
    return node.outputs.map((output) => {
      const dims = staticShape(output, node);
      const base = start * strides[axis];
      start += dims[axis];
      return pick(x!, dims, (index) => base + offsetOf(index, strides));
    });
  },
};

/** Pads before and after each axis; negative pads cut. Axes other than all are an input since opset 18. */
export const Pad: OpRule = {
  infer: ({ node, type, shape, constant }) => {
    const dims = shape(0);
    const pads = constant(1)?.toNumbers();
    const { dtype } = type(0);
    if (!pads) return [{ dtype, shape: dims.map((_, axis) => freshDim(node, axis)) }];
    const axes = padAxes(node, dims.length, constant(3));
    const padded = dims.map((dim, axis): Dim => {
      const at = axes.indexOf(axis);
      const total = at < 0 ? 0 : pads[at] + pads[at + axes.length];
      if (total === 0) return dim;
      return typeof dim === 'number' ? dim + total : freshDim(node, axis);
    });
    return [{ dtype, shape: padded }];
  },
  /** Padding with a constant is undone by padding with the negated amounts, that is by cutting. */
  grad: ({ build, node, outputGrads }) => {
    const mode = node.attribute('mode', 'string', 'constant');
    if (mode !== 'constant') throw unsupportedForm(node, `the gradient of padding mode "${mode}" is not defined here.`);
    const rank = staticShape(node.input(0), node).length;
    const pads = constantOf(node.input(1))?.toNumbers();
    if (!pads) throw unsupportedForm(node, 'its pads are not constant.');
    const axes = padAxes(node, rank, constantOf(node.inputs[3]));
    const amount = (axis: number, side: 0 | 1): number => {
      const at = axes.indexOf(axis);
      return at < 0 ? 0 : -pads[at + side * axes.length];
    };
    const all = Array.from({ length: rank }, (_, axis) => axis);
    return [
      padZeros(
        build,
        outputGrads[0]!,
        all.map((axis) => amount(axis, 0)),
        all.map((axis) => amount(axis, 1)),
      ),
    ];
  },
};

const padAxes = (node: Node, rank: number, given: Tensor | undefined): readonly number[] =>
  given?.toNumbers().map((axis) => normalizeAxis(node, axis, rank)) ?? Array.from({ length: rank }, (_, axis) => axis);
