/** @file One PostgreSQL server on one folder: made on first use, found again if it still runs, stopped cleanly. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { chmod, chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ModelpressError } from '@modelpress/core';
import { Client } from 'pg';
import { asAccount, serverAccount } from './account';
import { findBinaries } from './binaries';
import { freePort, isFree } from './port';
import { isAlive, isPostgres, readPostmaster } from './postmaster';

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;
const ANSWER_TIMEOUT_MS = 2000;
const USER = 'modelpress';

export interface ClusterOptions {
  /** Folder of the cluster; what is in it is kept. */
  readonly folder: string;
  /** Server settings beyond the defaults below, e.g. `{ fsync: 'off' }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface Cluster {
  readonly pid: number;
  /** Address of a database of this cluster, password included. */
  url(database: string): string;
  /** Makes the database if it is missing. */
  ensureDatabase(database: string): Promise<void>;
  /** Ends the server after its open transactions were rolled back. Does nothing when it has ended. */
  stop(): Promise<void>;
}

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '300',
  shared_buffers: '64MB',
  // Plans are made for tables of any size, and these never pay off for ours.
  jit: 'off',
};

/**
 * Starts the server on a folder, or finds the one that still runs there (its starter may have been killed).
 * @throws ModelpressError `embedded.start` with the server's last words.
 */
export async function startCluster({ folder, settings = {} }: ClusterOptions): Promise<Cluster> {
  const data = join(folder, 'data');
  const password = await preparePassword(folder);
  const running = await findRunning(data, password);
  if (running !== undefined) return clusterOf(running.pid, running.port, password);
  await initialise(folder, data, password);
  const port = await choosePort(folder);
  const pid = await launch(folder, data, port, { ...SETTINGS, ...settings }, password);
  return clusterOf(pid, port, password);
}

const addressOf = (port: number, password: string, database: string): string =>
  `postgresql://${USER}:${password}@127.0.0.1:${port}/${database}`;

function clusterOf(pid: number, port: number, password: string): Cluster {
  const url = (database: string): string => addressOf(port, password, database);
  return {
    pid,
    url,
    ensureDatabase: (database) => ensureDatabase(url('postgres'), database),
    stop: () => stopServer(pid),
  };
}

async function preparePassword(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'password');
  const kept = await readFile(file, 'utf8').catch(() => undefined);
  if (kept !== undefined) return kept;
  const password = randomBytes(24).toString('hex');
  await writeFile(file, password, { mode: 0o600 });
  return password;
}

/** The server of this folder if it answers; removes the pid file of one that is gone. */
async function findRunning(data: string, password: string) {
  const deadline = Date.now() + STOP_TIMEOUT_MS;
  for (;;) {
    const found = await readPostmaster(data);
    if (found === undefined) return undefined;
    if (!(await isPostgres(found.pid))) {
      await rm(join(data, 'postmaster.pid'), { force: true });
      return undefined;
    }
    if (await answers(addressOf(found.port, password, 'postgres'))) return found;
    // It is starting or stopping.
    if (Date.now() > deadline) {
      const message = `A PostgreSQL server (process ${found.pid}) holds ${data} but does not answer. End it and start again.`;
      throw new ModelpressError('unavailable', 'embedded.unresponsive', message, { file: data });
    }
    await sleep(100);
  }
}

/** Makes the cluster's files. They appear under their name only when complete, so a crash leaves nothing half made. */
async function initialise(folder: string, data: string, password: string): Promise<void> {
  if ((await readFile(join(data, 'PG_VERSION'), 'utf8').catch(() => undefined)) !== undefined) return;
  const account = serverAccount();
  const draft = join(folder, 'data.new');
  const passwordFile = join(folder, 'password.new');
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true, mode: 0o700 });
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (account !== undefined) {
    await chown(draft, account.uid, account.gid);
    await chown(passwordFile, account.uid, account.gid);
  }
  const command = asAccount(
    findBinaries().initdb,
    [
      `--pgdata=${draft}`,
      `--username=${USER}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
    ],
    account,
  );
  const { code, output } = await runToEnd(command);
  await rm(passwordFile, { force: true });
  if (code !== 0) {
    throw new ModelpressError('internal', 'embedded.initdb', `The embedded database could not be made: ${output}`, {
      file: draft,
    });
  }
  await rename(draft, data);
}

function runToEnd({ file, args, account }: ReturnType<typeof asAccount>): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { ...account, stdio: ['ignore', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, output: Buffer.concat(output).toString('utf8') }));
  });
}

/** The port of the last time if it is free, so that saved addresses stay right. */
async function choosePort(folder: string): Promise<number> {
  const file = join(folder, 'port');
  const kept = Number(await readFile(file, 'utf8').catch(() => Number.NaN));
  if (Number.isInteger(kept) && kept > 0 && (await isFree(kept))) return kept;
  const port = await freePort();
  await writeFile(file, String(port));
  return port;
}

async function launch(
  folder: string,
  data: string,
  port: number,
  settings: Readonly<Record<string, string>>,
  password: string,
): Promise<number> {
  const logFile = join(folder, 'postgres.log');
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const { file, args, account } = asAccount(
    findBinaries().postgres,
    ['-D', data, '-p', String(port), ...flags],
    serverAccount(),
  );
  const log = openSync(logFile, 'a');
  // Its own process group: Ctrl-C in a terminal must reach us first, so that it ends after those who write to it.
  const child = spawn(file, args, { ...account, detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  await chmod(logFile, 0o600);
  let ended: string | undefined;
  child.once('error', (error) => (ended = error.message));
  child.once('exit', (code, signal) => (ended = `it ended with ${signal ?? `code ${code}`}`));
  child.unref();
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await answers(addressOf(port, password, 'postgres')))) {
    if (ended !== undefined || Date.now() > deadline) {
      const words = (await readFile(logFile, 'utf8').catch(() => '')).split('\n').slice(-8).join('\n');
      const reason = ended ?? 'it does not answer';
      throw new ModelpressError('internal', 'embedded.start', `PostgreSQL did not start: ${reason}.\n${words}`, {
        file: logFile,
      });
    }
    await sleep(20);
  }
  const postmaster = await readPostmaster(data);
  if (postmaster === undefined) {
    throw new ModelpressError('internal', 'embedded.start', 'PostgreSQL started without a pid file.', { file: data });
  }
  return postmaster.pid;
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: ANSWER_TIMEOUT_MS });
  client.on('error', () => undefined);
  const answered = await client.connect().then(
    () => true,
    () => false,
  );
  // The client's own end is not waited for: after a connection that failed half way it may never come.
  client.end().catch(() => undefined);
  return answered;
}

async function ensureDatabase(adminUrl: string, database: string): Promise<void> {
  const client = new Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)}`);
  } finally {
    await client.end();
  }
}

async function stopServer(pid: number): Promise<void> {
  // SIGINT: end the sessions and shut down; SIGQUIT: at once, with recovery at the next start.
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    if (!isAlive(pid)) return;
    process.kill(pid, signal);
    const deadline = Date.now() + STOP_TIMEOUT_MS;
    while (isAlive(pid) && Date.now() < deadline) await sleep(20);
  }
}
