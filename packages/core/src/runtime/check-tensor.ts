import { invalid } from '../errors';
import { DTYPES, formatShape, sizeOf } from '../graph';
import type { HostTensor } from './runtime';

/** What a compiled graph declares of an input or output; a dynamic dimension is a name. */
export interface ExpectedTensor {
  readonly dtype: string;
  readonly dims: readonly (number | string)[];
}

/**
 * Compares dtype, dimensions and size of a tensor with each other and with what the graph expects.
 * @throws ModelpressError `runtime.input`
 */
export function checkTensor(
  name: string,
  role: 'input' | 'output',
  tensor: HostTensor,
  expected: ExpectedTensor | undefined,
): void {
  const fail = (message: string): never => {
    throw invalid('runtime.input', `The ${role} "${name}" ${message}.`, { field: name });
  };
  const { length } = tensor.data;
  if (!(tensor.data instanceof DTYPES[tensor.dtype].array)) {
    fail(`is declared ${tensor.dtype} but holds a ${tensor.data.constructor.name}`);
  }
  if (length !== Math.ceil((sizeOf(tensor.dims) * DTYPES[tensor.dtype].bits) / (8 * tensor.data.BYTES_PER_ELEMENT))) {
    fail(`is declared ${formatShape(tensor.dims)} but holds ${length} elements`);
  }
  if (!expected) return;
  if (expected.dtype !== tensor.dtype) fail(`must be ${expected.dtype}, not ${tensor.dtype}`);
  const { dims } = expected;
  const fits =
    dims.length === tensor.dims.length && dims.every((dim, i) => typeof dim === 'string' || dim === tensor.dims[i]);
  if (!fits) fail(`must have the shape ${formatShape(dims)}, not ${formatShape(tensor.dims)}`);
}
