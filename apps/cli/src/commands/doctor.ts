import { bf16Obstacle, formatBytes, int8Warning, workerCapabilities } from '@modelpress/core';
import type { WorkerCapabilities } from '@modelpress/core';
import type { Command } from 'commander';
import { printJson } from '../output';

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .summary('say what this machine can do')
    .description('Shows the processor, its instruction sets, the memory and the devices that models can run on.')
    .option('--json', 'print JSON')
    .action(async ({ json = false }: { json?: boolean }) => {
      const capabilities = await workerCapabilities();
      if (json) printJson(capabilities);
      else for (const line of describe(capabilities)) console.log(line);
    });
}

function describe({ machine, runtimes, precisions }: WorkerCapabilities): string[] {
  const { cpu, cores, cpuFlags, memoryBytes, os, node } = machine;
  const devices = runtimes.flatMap(({ runtime, version, devices }) =>
    devices.map(
      ({ device, available, reason }) =>
        `  ${runtime} ${version} on ${device}: ${available ? 'yes' : `no (${(reason ?? '').split('\n')[0]})`}`,
    ),
  );
  return [
    `Processor  ${cpu}, ${cores} cores`,
    `           ${cpuFlags.join(' ') || 'instruction sets unknown'}`,
    `Memory     ${formatBytes(memoryBytes)}`,
    `System     ${os}, Node ${node}`,
    `Training   in ${precisions.join(' and ')}${precisions.includes('bf16') ? '' : ` (bf16: ${bf16Obstacle() ?? ''})`}`,
    `Int8       ${int8Warning(cpuFlags) ?? 'fast: this processor multiplies int8 in one instruction'}`,
    'Devices',
    ...devices,
  ];
}
