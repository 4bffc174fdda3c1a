import type { Tensor, Value } from '../graph';

/** The data of a value that is an initializer or the output of a `Constant` node. */
export function constantOf(value: Value | null | undefined): Tensor | undefined {
  if (value?.constant) return value.constant;
  return value?.producer?.opType === 'Constant' ? value.producer.attribute('value', 'tensor') : undefined;
}
