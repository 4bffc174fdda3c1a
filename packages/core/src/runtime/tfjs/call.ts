import { unsupported } from '../../errors';
import type { Node } from '../../graph';
import type { Tf, TfTensor } from './library';

/** The execution of one node. */
export interface Call {
  readonly tf: Tf;
  readonly node: Node;
  readonly opset: number;
  /** Input `index`; throws when it is absent. */
  readonly x: (index: number) => TfTensor;
  /** Input `index`, if the node has it. */
  readonly optional: (index: number) => TfTensor | undefined;
  /** Elements of input `index` in host memory: shapes, axes and other small integers. */
  readonly numbers: (index: number) => number[];
}

/** What computes an op: one tensor per output, new or one of the inputs. */
export type TfjsOp = (call: Call) => TfTensor | readonly TfTensor[];

/** An op that TensorFlow.js cannot run, and why. */
export interface Unsupported {
  readonly unsupported: string;
}

/** For a form of an op that is not covered. @throws ModelpressError `runtime.unsupported-op` */
export function refuse({ node }: Call, reason: string): never {
  throw unsupported('runtime.unsupported-op', `TensorFlow.js cannot run ${node}: ${reason}.`, node.location);
}

/** A non-negative axis. */
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
