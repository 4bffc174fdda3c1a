/** @file What `postmaster.pid` says about a server that may or may not still run on a data folder. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface Postmaster {
  readonly pid: number;
  readonly port: number;
}

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
};

/** The server named in the data folder's pid file; undefined when there is none. */
export async function readPostmaster(data: string): Promise<Postmaster | undefined> {
  const content = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '');
  // Lines: pid, data folder, start time, port, socket folder, listen address, ...
  const lines = content.split('\n');
  const pid = Number(lines[0]);
  const port = Number(lines[3]);
  return Number.isInteger(pid) && pid > 0 ? { pid, port } : undefined;
}

/** Whether the process of this id is a PostgreSQL server: after a crash the id may belong to any other program. */
export async function isPostgres(pid: number): Promise<boolean> {
  if (!isAlive(pid)) return false;
  const { stdout } = await promisify(execFile)('ps', ['-p', String(pid), '-o', 'command=']).catch(() => ({
    // Without `ps` (slim images, Windows) Linux still says it in /proc; elsewhere a living process counts as the server.
    stdout: undefined,
  }));
  const command = stdout ?? (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => 'postgres'));
  return command.includes('postgres');
}
