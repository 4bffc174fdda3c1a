/** @file PostgreSQL refuses to run as root. When we are root it runs as `nobody`, which every system has. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** The account for the server's processes; undefined: our own. */
export function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const number = (flag: string): number => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
  return { uid: number('-u'), gid: number('-g') };
}

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly account: Account | undefined;
}

const SETPRIV = '/usr/bin/setpriv';

/**
 * The command as that account. A clone in a folder that only root may enter (`/root`, `mktemp -d`) is out of reach for
 * it, so it keeps root's right to pass folders where the system has `setpriv` (util-linux; every Debian and Fedora).
 */
export function asAccount(file: string, args: readonly string[], account: Account | undefined): Command {
  if (account === undefined || !existsSync(SETPRIV)) return { file, args, account };
  const capabilities = '+dac_override,+dac_read_search';
  const privileges = [
    `--reuid=${account.uid}`,
    `--regid=${account.gid}`,
    '--clear-groups',
    `--inh-caps=${capabilities}`,
    `--ambient-caps=${capabilities}`,
  ];
  return { file: SETPRIV, args: [...privileges, file, ...args], account: undefined };
}
