/**
 * @file 64-bit integers in the IR are JavaScript numbers. Exact to 2^53; beyond that only the two ends of the range
 * occur in practice (a Slice "to the end"), and they are read as plus and minus Infinity, so that they are written
 * back exactly. Anything else out there is refused. Tensor data is not concerned: it stays bytes.
 */
import { invalid, unsupported } from '../errors';
import type { ErrorDetails } from '../errors';

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

/** @throws ModelpressError `onnx.integer-range` */
export function fromInt64(value: bigint, what: string, details: ErrorDetails = {}): number {
  if (value === INT64_MAX) return Infinity;
  if (value === INT64_MIN) return -Infinity;
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw unsupported('onnx.integer-range', `${what} is ${value}, which is beyond 2^53.`, details);
}

/** @throws ModelpressError `onnx.not-an-integer` */
export function toInt64(value: number, what: string, details: ErrorDetails = {}): bigint {
  if (value === Infinity) return INT64_MAX;
  if (value === -Infinity) return INT64_MIN;
  if (Number.isSafeInteger(value)) return BigInt(value);
  throw invalid('onnx.not-an-integer', `${what} is ${value}, which is not an exact integer.`, details);
}
