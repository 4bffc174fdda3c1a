import type { Graph } from './graph';
import type { Tensor } from './tensor';

/** A node attribute, tagged with its ONNX type. Integers are JavaScript numbers (exact to 2^53, checked on reading). */
export type Attribute =
  | { readonly type: 'int'; readonly value: number }
  | { readonly type: 'ints'; readonly value: readonly number[] }
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'floats'; readonly value: readonly number[] }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'tensor'; readonly value: Tensor }
  /** A control-flow body. Kept for round trips; no pass or rule looks inside. */
  | { readonly type: 'graph'; readonly value: Graph };

export type AttributeType = Attribute['type'];
export type AttributeValue<T extends AttributeType> = Extract<Attribute, { type: T }>['value'];

export const int = (value: number): Attribute => ({ type: 'int', value });
export const ints = (value: readonly number[]): Attribute => ({ type: 'ints', value });
export const float = (value: number): Attribute => ({ type: 'float', value });
export const string = (value: string): Attribute => ({ type: 'string', value });
