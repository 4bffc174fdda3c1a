/** @file Sliding windows (kernels, strides, pads, dilations) as convolutions and pools share them. */
import type { Dim, Node, Shape } from '../graph';
import { freshDim, shapeError } from './shapes';

/** The window of a node over `kernel.length` spatial axes; `pads` holds all beginnings, then all ends. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
}

/** Reads the window attributes. `input`: spatial dimensions, needed for automatic padding. */
export function windowOf(node: Node, kernel: readonly number[], input: Shape): Window {
  const ones = kernel.map(() => 1);
  const strides = node.attribute('strides', 'ints', ones);
  const dilations = node.attribute('dilations', 'ints', ones);
  const mode = node.attribute('auto_pad', 'string', 'NOTSET');
  const explicit = node.attribute('pads', 'ints', [...ones, ...ones].fill(0));
  const pads = mode.startsWith('SAME') ? samePads(node, mode, { kernel, strides, dilations }, input) : explicit;
  if ([strides, dilations].some((list) => list.length !== kernel.length) || pads.length !== 2 * kernel.length) {
    throw shapeError(node, `strides, dilations and pads do not fit ${kernel.length} spatial dimensions.`);
  }
  return { kernel, strides, dilations, pads };
}

/** Pads that make the output ceil(input / stride) long; an odd one goes to the end (SAME_UPPER) or the beginning. */
function samePads(node: Node, mode: string, window: Omit<Window, 'pads'>, input: Shape): number[] {
  const totals = window.kernel.map((_, axis) => {
    const dim = input[axis];
    const stride = window.strides[axis];
    if (stride === 1) return extent(window, axis) - 1;
    if (typeof dim !== 'number') throw shapeError(node, `${mode} padding with a stride needs static dimensions.`);
    return Math.max(0, (Math.ceil(dim / stride) - 1) * stride + extent(window, axis) - dim);
  });
  const small = totals.map((total) => Math.floor(total / 2));
  const large = totals.map((total, axis) => total - small[axis]);
  return mode === 'SAME_UPPER' ? [...small, ...large] : [...large, ...small];
}

/** Input elements that one window covers along an axis. */
export const extent = ({ kernel, dilations }: Pick<Window, 'kernel' | 'dilations'>, axis: number): number =>
  (kernel[axis] - 1) * dilations[axis] + 1;

/** Spatial dimensions of the output. */
export function windowOutput(node: Node, window: Window, input: Shape, leadingAxes = 2): Shape {
  const round = node.attribute('ceil_mode', 'int', 0) === 1 ? Math.ceil : Math.floor;
  return input.map((dim, axis): Dim => {
    const pad = window.pads[axis] + window.pads[axis + input.length];
    const slack = pad - extent(window, axis);
    const stride = window.strides[axis];
    if (typeof dim === 'string') return slack === -1 && stride === 1 ? dim : freshDim(node, leadingAxes + axis);
    const length = round((dim + slack) / stride) + 1;
    if (length < 1) throw shapeError(node, `a window of ${extent(window, axis)} does not fit a dimension of ${dim}.`);
    return length;
  });
}
