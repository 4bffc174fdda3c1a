/** @file What modelpress knows about an operator. `ops/index.ts` holds one rule per op in an exhaustive record. */
import type { DType, Node, Shape, Tensor, Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';

/** What shape inference knows of a value. An unknown rank is `shape: undefined`. */
export interface ValueType {
  readonly dtype: DType;
  readonly shape: Shape | undefined;
}

/** Asked for the types of a node's outputs. */
export interface InferContext {
  readonly node: Node;
  readonly opset: number;
  /** Type of input `index`; throws an error that names the node when the input is absent or its type unknown. */
  readonly type: (index: number) => ValueType;
  /** Shape of input `index`; throws when the rank is unknown. */
  readonly shape: (index: number) => Shape;
  /** The data of input `index` if it is known now (an initializer or a folded constant). */
  readonly constant: (index: number) => Tensor | undefined;
}

/** Asked for the gradients of a node's inputs, given those of its outputs. */
export interface GradContext {
  readonly node: Node;
  /** Appends backward nodes; infers the type of everything it adds. */
  readonly build: GraphBuilder;
  /** Whether anything wants the gradient of input `index`: rules skip the work otherwise. */
  readonly wants: (index: number) => boolean;
  /** dLoss/dOutput; null when nothing depends on that output. Output 0 is never null when a rule is called. */
  readonly outputGrads: readonly (Value | null)[];
}

/**
 * Gradients with respect to the inputs, by input index (`null` or absent = none wanted or none exists).
 * Each must have the shape of its input: rules for broadcasting ops call `unbroadcast`.
 */
export type GradRule = (context: GradContext) => readonly (Value | null)[];

/** Everything about one operator. */
export interface OpRule {
  /** Types of the outputs. */
  readonly infer: (context: InferContext) => readonly ValueType[];
  /**
   * How gradients flow back through the op.
   * `none`: its output does not depend on its inputs differentiably (Shape, Equal, ArgMax): the walk stops there.
   * `forbidden`: asking is a mistake (a quantized op): an error that names the node.
   */
  readonly grad: GradRule | 'none' | 'forbidden';
  /** Floating-point operations of one execution with static shapes (a multiply-add counts as 2). Absent: 0. */
  readonly flops?: (node: Node) => number;
  /**
   * Computes the outputs of small tensors in JavaScript, for folding shape arithmetic and for the reference
   * interpreter. Absent: the op is never folded.
   */
  readonly evaluate?: (node: Node, inputs: readonly (Tensor | null)[], opset: number) => readonly Tensor[];
}
