/** @file The machine that measurements are taken on. */
import type { Environment } from '../report/measurement';
import { machineCapabilities, ORT_VERSION } from '../runtime';

/** Flags with instructions that multiply and add four int8 pairs at once; without one, int8 is seldom faster. */
const INT8_FLAGS: ReadonlySet<string> = new Set(['avx_vnni', 'avx512_vnni', 'amx_int8', 'asimddp', 'i8mm']);

/** This machine, as it goes beside a measurement taken on its CPU with ONNX Runtime. */
export function readEnvironment(threads: number): Environment {
  const { cpuFlags, ...machine } = machineCapabilities();
  return { ...machine, cpuFlags: [...cpuFlags], runtime: `onnxruntime-node ${ORT_VERSION}`, device: 'cpu', threads };
}

/** What to tell a user about int8 on a machine with these flags, or undefined if it runs fast there. */
export function int8Warning(cpuFlags: readonly string[]): string | undefined {
  if (cpuFlags.some((flag) => INT8_FLAGS.has(flag))) return undefined;
  return cpuFlags.length === 0
    ? 'The instruction sets of this CPU are unknown, so int8 may be slower here than float: the benchmark tells.'
    : 'This CPU has no int8 dot-product instructions (VNNI, AMX or dotprod): int8 makes the file smaller here but seldom faster, and sums of products may saturate.';
}
