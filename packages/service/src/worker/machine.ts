import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/**
 * Names the process table that a process id belongs to. Host names alone may repeat, also between containers: on Linux the
 * boot of the machine and the namespace of its process ids are added.
 */
export function machineIdentity(): string {
  const parts = [
    () => hostname(),
    () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    () => readlinkSync('/proc/self/ns/pid'),
  ];
  return parts
    .map((read) => {
      try {
        return read();
      } catch {
        return '';
      }
    })
    .join(' ');
}
