/** @file FLOPs helpers: a multiply-add counts as 2. */
import { sizeOf } from '../graph';
import type { Node } from '../graph';
import { staticShape } from './shapes';

/** Elements of output 0. */
export const outputSize = (node: Node): number => sizeOf(staticShape(node.output(), node));

/** Elements of input 0. */
export const inputSize = (node: Node): number => sizeOf(staticShape(node.input(0), node));

/** FLOPs of an op that does `perElement` operations for every output element. */
export const perOutput =
  (perElement: number) =>
  (node: Node): number =>
    perElement * outputSize(node);

/** FLOPs of an op that does `perElement` operations for every element of its first input. */
export const perInput =
  (perElement: number) =>
  (node: Node): number =>
    perElement * inputSize(node);
