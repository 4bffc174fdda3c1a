/** @file The machine that measurements are taken on. */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import type { Environment } from '../report/measurement';

/** Instruction sets that decide how fast float and int8 products are; names as in /proc/cpuinfo. */
const FLAGS_OF_INTEREST = [
  'avx2',
  'fma',
  'avx512f',
  'avx512bw',
  'avx_vnni',
  'avx512_vnni',
  'avx512_bf16',
  'avx512_fp16',
  'amx_tile',
  'amx_int8',
  'amx_bf16',
  'asimddp',
  'i8mm',
  'sve',
  'bf16',
];

/** Flags with instructions that multiply and add four int8 pairs at once; without one, int8 is seldom faster. */
const INT8_FLAGS: ReadonlySet<string> = new Set(['avx_vnni', 'avx512_vnni', 'amx_int8', 'asimddp', 'i8mm']);

/** This machine, as it goes beside a measurement. */
export function readEnvironment(run: { runtime: string; device: string; threads: number }): Environment {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model.trim() ?? os.arch(),
    cores: os.availableParallelism(),
    cpuFlags: readCpuFlags(),
    memoryBytes: os.totalmem(),
    os: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    ...run,
  };
}

/** Flags of interest that this CPU has; empty where the system does not tell (not Linux). */
export function readCpuFlags(cpuinfo = '/proc/cpuinfo'): string[] {
  let text: string;
  try {
    text = readFileSync(cpuinfo, 'utf8');
  } catch {
    return [];
  }
  const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1] ?? '';
  const present = new Set(line.split(/\s+/));
  return FLAGS_OF_INTEREST.filter((flag) => present.has(flag));
}

/** What to tell a user about int8 on a machine with these flags, or undefined if it runs fast there. */
export function int8Warning(cpuFlags: readonly string[]): string | undefined {
  if (cpuFlags.some((flag) => INT8_FLAGS.has(flag))) return undefined;
  return cpuFlags.length === 0
    ? 'The instruction sets of this CPU are unknown, so int8 may be slower here than float; the benchmark tells.'
    : 'This CPU has no int8 dot-product instructions (VNNI, AMX or dotprod): int8 makes the file smaller here, but seldom faster, and sums of products may saturate.';
}
