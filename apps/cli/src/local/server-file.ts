/** @file Where the stack of a folder can be reached while it runs. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const serverSchema = z.object({ url: z.string(), key: z.string(), pid: z.int() });
/** Address and key of a running stack, and the process that holds it. */
export type RunningServer = z.infer<typeof serverSchema>;

const fileOf = (home: string): string => join(home, 'server.json');

export function writeServerFile(home: string, server: RunningServer): void {
  writeFileSync(fileOf(home), `${JSON.stringify(server, null, 2)}\n`, { mode: 0o600 });
}

export function removeServerFile(home: string): void {
  rmSync(fileOf(home), { force: true });
}

/** The stack that runs on this folder, if one does. */
export function runningServer(home: string): RunningServer | undefined {
  let text: string;
  try {
    text = readFileSync(fileOf(home), 'utf8');
  } catch {
    return undefined;
  }
  const parsed = serverSchema.safeParse(JSON.parse(text));
  return parsed.success && isAlive(parsed.data.pid) ? parsed.data : undefined;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
