import { unsupported } from '../errors';
import type { Precision } from './runtime';

/** @throws ModelpressError `runtime.precision` for an engine that computes in fp32 and is asked for something else */
export function requireFp32(engine: string, precision: Precision = 'fp32'): void {
  if (precision === 'fp32') return;
  throw unsupported('runtime.precision', `${engine} computes in fp32; ${precision} needs the native runtime.`);
}
