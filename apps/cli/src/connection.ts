/** @file Which server a command talks to: the one it was told, the environment's, or the stack of this folder. */
import { Client } from '@modelpress/client';
import { ModelpressError } from '@modelpress/core';
import type { Command } from 'commander';
import type { CliEnvironment } from './environment';
import { runningServer } from './local/server-file';

export interface ConnectionFlags {
  readonly server?: string;
  readonly key?: string;
  readonly home?: string;
}

/** Adds the flags that every command of a server has. */
export const withConnection = (command: Command): Command =>
  command
    .option('--server <url>', 'address of a server (default: MODELPRESS_URL, else the stack that runs on this folder)')
    .option('--key <key>', 'API key (default: MODELPRESS_API_KEY, for the stack of this folder its own)')
    .option('--home <folder>', 'folder of the embedded stack (default: MODELPRESS_HOME, else .modelpress)');

export const homeOf = (flags: ConnectionFlags, environment: CliEnvironment): string => flags.home ?? environment.home;

/**
 * The server that the flags or the environment name.
 * @throws `cli.key` when the server is named but no key is known
 */
export function namedServer(flags: ConnectionFlags, environment: CliEnvironment): Client | undefined {
  const url = flags.server ?? environment.url;
  if (url === undefined) return undefined;
  const key = flags.key ?? environment.key;
  if (key !== undefined) return new Client({ url, key });
  throw new ModelpressError(
    'invalid',
    'cli.key',
    `The server ${url} needs a key: give --key or set MODELPRESS_API_KEY.`,
  );
}

/** @throws `cli.no-server`, `cli.key` */
export function connect(flags: ConnectionFlags, environment: CliEnvironment): Client {
  const named = namedServer(flags, environment);
  if (named) return named;
  const home = homeOf(flags, environment);
  const running = runningServer(home);
  if (running) return new Client(running);
  const message = `No stack runs on ${home}. Start one with "modelpress up", or name a server with --server.`;
  throw new ModelpressError('invalid', 'cli.no-server', message);
}
