/** @file The embedded stack: PostgreSQL, the API and the four workers as processes of this machine. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ModelpressError, QUEUES, throwIfAborted } from '@modelpress/core';
import { startEmbedded } from '@modelpress/service';
import { removeServerFile, runningServer, writeServerFile } from './server-file';
import { Supervised } from './supervised';

const READY_TIMEOUT_MS = 60_000;
const POLL_MS = 50;

/** Folder of an app, from the source or the compiled form of this file. */
const appEntry = (name: string): string => join(__dirname, '..', '..', '..', name, 'dist', 'main.js');

export interface StackOptions {
  /** Folder for everything that is kept. */
  readonly home: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly host?: string;
  /** Default: a free one. */
  readonly port?: number;
  readonly signal?: AbortSignal;
  /** Hears what a user should know while the stack runs: a process that died and was started again. */
  readonly onNotice: (message: string) => void;
}

export interface LocalStack {
  readonly url: string;
  /** Admin key of the project `default`. */
  readonly key: string;
  readonly logs: string;
  /** Process ids by name: api, worker-prune, ... */
  readonly processes: ReadonlyMap<string, Supervised>;
  /** Rejects when a process cannot run any more. */
  readonly failed: Promise<never>;
  /** Ends workers and API, then the database. */
  stop(): Promise<void>;
}

/**
 * Starts the stack on a folder and waits until the API answers and every worker has reported itself.
 * @throws `stack.running` when another command runs it already, `stack.port`, `stack.process`, `embedded.*`
 */
export async function startStack(options: StackOptions): Promise<LocalStack> {
  const home = resolve(options.home);
  const running = runningServer(home);
  if (running) {
    const message = `The stack of ${home} runs already (process ${running.pid}, ${running.url}).`;
    throw new ModelpressError('conflict', 'stack.running', message, { pid: running.pid });
  }
  mkdirSync(join(home, 'logs'), { recursive: true });
  const { host = '127.0.0.1' } = options;
  const port = await claimPort(host, options.port);
  const key = keepKey(home);
  const url = `http://${host}:${port}`;
  const embedded = await startEmbedded(home);
  const environment = {
    ...options.environment,
    ...embedded.environment,
    MODELPRESS_HOST: host,
    MODELPRESS_PORT: String(port),
    MODELPRESS_API_KEY: key,
  };
  const { processes, failed } = startProcesses(home, environment, options);
  const stop = async (): Promise<void> => {
    removeServerFile(home);
    await Promise.all([...processes.values()].map((process) => process.stop()));
    await embedded.stop();
  };
  try {
    await Promise.race([waitUntilReady(url, key, options.signal), failed]);
    writeServerFile(home, { url, key, pid: process.pid });
    return { url, key, logs: join(home, 'logs'), processes, failed, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function startProcesses(
  home: string,
  env: NodeJS.ProcessEnv,
  { onNotice }: StackOptions,
): Pick<LocalStack, 'processes' | 'failed'> {
  let giveUp: (error: ModelpressError) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => (giveUp = reject));
  // Whoever races against it hears of it; a stack that has stopped has nobody to tell.
  failed.catch(() => undefined);
  const names = ['api', ...QUEUES.map((queue) => `worker-${queue}`)];
  const processes = new Map(
    names.map((name) => [
      name,
      new Supervised({
        name,
        entry: appEntry(name),
        env,
        logFile: join(home, 'logs', `${name}.log`),
        onRestart: (_, how) => onNotice(`The process ${name} died (${how}) and is started again.`),
        onGiveUp: giveUp,
      }),
    ]),
  );
  return { processes, failed };
}

/** The project key of this folder, made once. */
function keepKey(home: string): string {
  const file = join(home, 'key');
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  const key = `mp_${randomBytes(24).toString('hex')}`;
  writeFileSync(file, `${key}\n`, { mode: 0o600 });
  return key;
}

/** @throws `stack.port` if the wanted port is taken. */
function claimPort(host: string, wanted = 0): Promise<number> {
  return new Promise((resolvePort, reject) => {
    const server = createServer();
    server.once('error', (error) => {
      const message = `Port ${wanted} of ${host} cannot be used: ${error.message}. Choose another with --port.`;
      reject(new ModelpressError('conflict', 'stack.port', message, { port: wanted }));
    });
    server.listen(wanted, host, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolvePort(port));
    });
  });
}

async function waitUntilReady(url: string, key: string, signal: AbortSignal | undefined): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  for (;;) {
    throwIfAborted(signal);
    if (await workersReady(url, key)) return;
    if (Date.now() > deadline) {
      throw new ModelpressError('unavailable', 'stack.timeout', 'The stack did not become ready within a minute.');
    }
    await sleep(POLL_MS);
  }
}

/** Whether the API answers and every queue has a worker. */
async function workersReady(url: string, key: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/v1/queue`, { headers: { authorization: `Bearer ${key}` } });
    if (!response.ok) return false;
    const { queues } = (await response.json()) as { queues: readonly { workers: number }[] };
    return queues.length === QUEUES.length && queues.every(({ workers }) => workers > 0);
  } catch {
    return false;
  }
}
