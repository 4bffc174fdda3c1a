/** @file What a worker reports about its machine at start. */
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { readFileSync } from 'node:fs';
import { bf16Obstacle, nativeRuntime } from './native';
import { ortRuntime } from './ort';
import type { Precision, RuntimeCapabilities } from './runtime';
import { tfjsRuntime } from './tfjs';

/** Instruction sets that decide how fast a transformer runs; the names of /proc/cpuinfo. */
const RELEVANT_FLAGS: ReadonlySet<string> = new Set([
  'avx2',
  'fma',
  'f16c',
  'avx512f',
  'avx512bw',
  'avx512vl',
  'avx512_vnni',
  'avx512_bf16',
  'avx512_fp16',
  'avx_vnni',
  'amx_tile',
  'amx_int8',
  'amx_bf16',
  'asimd',
  'asimddp',
  'i8mm',
  'bf16',
  'sve',
]);

/** The machine, in the terms of a measurement's environment. */
export interface MachineCapabilities {
  readonly cpu: string;
  readonly cores: number;
  readonly cpuFlags: readonly string[];
  readonly memoryBytes: number;
  readonly os: string;
  readonly node: string;
}

export interface WorkerCapabilities {
  readonly machine: MachineCapabilities;
  readonly runtimes: readonly RuntimeCapabilities[];
  /** What models can be trained in at full speed. */
  readonly precisions: readonly Precision[];
}

/** Describes the machine; the instruction sets are known on Linux only. */
export function machineCapabilities(): MachineCapabilities {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    cpuFlags: process.platform === 'linux' ? relevantFlags(readFileSync('/proc/cpuinfo', 'utf8')) : [],
    memoryBytes: totalmem(),
    os: `${type()} ${release()}`,
    node: process.version,
  };
}

/** The relevant flags of the first processor in a /proc/cpuinfo text, in the order of that text. */
export function relevantFlags(cpuinfo: string): string[] {
  const line = /^(?:flags|Features)\s*:(.*)$/m.exec(cpuinfo)?.[1] ?? '';
  return line
    .trim()
    .split(/\s+/)
    .filter((flag) => RELEVANT_FLAGS.has(flag));
}

/** Probes the machine and every runtime: about 50 ms, and half a second where TensorFlow.js is installed. */
export async function workerCapabilities(): Promise<WorkerCapabilities> {
  return {
    machine: machineCapabilities(),
    runtimes: [await ortRuntime.capabilities(), await nativeRuntime.capabilities(), await tfjsRuntime.capabilities()],
    precisions: bf16Obstacle() === undefined ? ['fp32', 'bf16'] : ['fp32'],
  };
}
