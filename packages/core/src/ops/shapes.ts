/** @file Shape arithmetic shared by the op rules. Dimensions may be symbols; see `Dim`. */
import { invalid, unsupported } from '../errors';
import type { ModelpressError } from '../errors';
import { formatShape, isStatic } from '../graph';
import type { Dim, Node, Shape, Value } from '../graph';

/** A wrong shape, rank or axis at a node. */
export const shapeError = (node: Node, reason: string): ModelpressError =>
  invalid('ops.shape', `${node}: ${reason}`, node.location);

/** A wrong element type at a node. */
export const dtypeError = (node: Node, reason: string): ModelpressError =>
  invalid('ops.dtype', `${node}: ${reason}`, node.location);

/** A well-formed node of a kind we do not handle. */
export const unsupportedForm = (node: Node, reason: string): ModelpressError =>
  unsupported('ops.unsupported-form', `${node}: ${reason}`, node.location);

/** The name of a dimension that inference cannot express: unique, because value names are. */
export const freshDim = (node: Node, axis: number, output = 0): Dim => `${node.output(output).name}.${axis}`;

/** A shape of known rank whose dimensions are all unknown. */
export const freshShape = (node: Node, rank: number, output = 0): Shape =>
  Array.from({ length: rank }, (_, axis) => freshDim(node, axis, output));

/** Maps a possibly negative axis to 0..rank-1. */
export function normalizeAxis(node: Node, axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || positive < 0 || positive >= rank) {
    throw shapeError(node, `axis ${axis} is outside a tensor of rank ${rank}.`);
  }
  return positive;
}

/** Dimensions of a value that must be static by now (gradients, FLOPs). */
export function staticShape(value: Value, node?: Node): readonly number[] {
  if (value.shape && isStatic(value.shape)) return value.shape;
  const where = node ? `${node}: ` : '';
  throw unsupported(
    'ops.dynamic-shape',
    `${where}"${value.name}" has shape ${value.shape ? formatShape(value.shape) : 'of unknown rank'}, but static ` +
      'dimensions are needed. Specialise the model to a batch size and sequence length first.',
    node?.location,
  );
}

/** Replaces one dimension. */
export const withDim = (shape: Shape, axis: number, dim: Dim): Shape => shape.map((old, i) => (i === axis ? dim : old));

/** Whether two dimensions certainly differ: both are numbers and unequal. */
export const dimsClash = (a: Dim, b: Dim): boolean => typeof a === 'number' && typeof b === 'number' && a !== b;

/** Numpy broadcasting. A symbol against a number n > 1 gives n; two different symbols give a fresh dimension. */
export function broadcast(node: Node, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    if (dimsClash(x, y)) throw shapeError(node, `${formatShape(a)} and ${formatShape(b)} do not broadcast.`);
    if (typeof x === 'number') return x;
    return typeof y === 'number' ? y : freshDim(node, axis);
  });
}

/** A dimension as coefficient x product of symbols; symbols that are not plain names or products stay whole. */
interface Monomial {
  readonly coefficient: number;
  readonly symbols: readonly string[];
}

function monomial(dims: Shape): Monomial {
  const factors = dims.flatMap((dim) => (typeof dim === 'string' && /^[\w.*]+$/.test(dim) ? dim.split('*') : [dim]));
  const numbers = factors.map((factor) => (typeof factor === 'number' || /^\d+$/.test(factor) ? Number(factor) : 1));
  return {
    coefficient: numbers.reduce((product, factor) => product * factor, 1),
    symbols: factors.filter((factor): factor is string => typeof factor === 'string' && !/^\d+$/.test(factor)),
  };
}

function toDim({ coefficient, symbols }: Monomial): Dim {
  if (symbols.length === 0 || coefficient === 0) return coefficient;
  return [...(coefficient === 1 ? [] : [coefficient]), ...symbols].join('*');
}

/** The product of dimensions, e.g. `batch*sequence` or `2*batch`. */
export const productDim = (dims: Shape): Dim => toDim(monomial(dims));

/** The quotient of two products of dimensions; undefined when the one does not divide the other for certain. */
export function divideDims(dividend: Shape, divisor: Shape): Dim | undefined {
  const over = monomial(dividend);
  const under = monomial(divisor);
  const symbols = [...over.symbols];
  for (const symbol of under.symbols) {
    const index = symbols.indexOf(symbol);
    if (index < 0) return undefined;
    symbols.splice(index, 1);
  }
  const coefficient = over.coefficient / under.coefficient;
  return Number.isInteger(coefficient) ? toDim({ coefficient, symbols }) : undefined;
}
