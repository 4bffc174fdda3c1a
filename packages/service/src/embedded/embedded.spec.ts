import { spawnSync } from 'node:child_process';
import { chownSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import { eventually } from '../testing';
import { serverAccount } from './account';
import { startCluster, type Cluster } from './cluster';
import { startEmbedded } from './embedded';
import { isAlive } from './postmaster';

const SETTINGS = { fsync: 'off' };

let folder: string;
const clusters: Cluster[] = [];

// mkdtemp makes a folder that only its owner may enter: as root this is the case where `nobody` cannot reach its data.
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'modelpress-cluster-'))));
afterEach(() => Promise.all(clusters.splice(0).map((cluster) => cluster.stop())));
afterAll(() => rm(folder, { recursive: true, force: true }));

async function start(): Promise<Cluster> {
  const cluster = await startCluster({ folder, settings: SETTINGS });
  clusters.push(cluster);
  return cluster;
}

async function query(cluster: Cluster, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: cluster.url('postgres') });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('a cluster', () => {
  it('keeps what is in it between starts', async () => {
    const first = await start();
    await query(first, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await first.stop();
    expect(isAlive(first.pid)).toBe(false);
    const second = await start();
    expect(await query(second, 'SELECT * FROM kept')).toEqual([{ answer: 42 }]);
    expect(second.url('x')).toBe(first.url('x'));
  });

  it('is found again when whoever started it is gone', async () => {
    const first = await start();
    const again = await start();
    expect(again.pid).toBe(first.pid);
  });

  it('starts after a crash of the server', async () => {
    const first = await start();
    process.kill(first.pid, 'SIGKILL');
    await eventually('it is gone', () => !isAlive(first.pid));
    const second = await start();
    expect(await query(second, 'SELECT * FROM kept')).toEqual([{ answer: 42 }]);
  });

  it('starts when the pid file names a process that is something else now', async () => {
    const first = await start();
    const file = join(folder, 'data', 'postmaster.pid');
    const lines = (await readFile(file, 'utf8')).split('\n');
    await first.stop();
    await writeFile(file, [String(process.pid), ...lines.slice(1)].join('\n'));
    const second = await start();
    expect(second.pid).not.toBe(process.pid);
    expect(await query(second, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('takes another port when its own is taken', async () => {
    const first = await start();
    const port = Number(new URL(first.url('x')).port);
    await first.stop();
    const blocker: Server = createServer();
    await new Promise<void>((resolve) => blocker.listen(port, '127.0.0.1', resolve));
    const second = await start();
    expect(new URL(second.url('x')).port).not.toBe(String(port));
    await new Promise((resolve) => blocker.close(resolve));
  });

  it('makes a database once', async () => {
    const cluster = await start();
    await cluster.ensureDatabase('app');
    await cluster.ensureDatabase('app');
    expect(await query(cluster, `SELECT count(*)::int AS n FROM pg_database WHERE datname = 'app'`)).toEqual([
      { n: 1 },
    ]);
  });

  it('says why it cannot start', async () => {
    const first = await start();
    await first.stop();
    await writeFile(join(folder, 'data', 'postgresql.auto.conf'), 'no_such_setting = 1\n');
    await expect(start()).rejects.toMatchObject({
      code: 'embedded.start',
      message: expect.stringContaining('no_such_setting'),
    });
    await writeFile(join(folder, 'data', 'postgresql.auto.conf'), '');
  });
});

/** Whether an account other than the owner may pass all folders above this file. */
const isReachable = (path: string): boolean =>
  path === '/' || ((statSync(path).mode & 0o005) === 0o005 && isReachable(dirname(path)));

const COMPILED = join(__dirname, '..', '..', 'dist', 'embedded', 'cluster.js');
const canBeOther = process.getuid?.() === 0 && isReachable(dirname(COMPILED));

// The other tests cover whoever runs them; this one adds the normal user when that is root.
(canBeOther ? describe : describe.skip)('as a normal user', () => {
  it('starts too', async () => {
    const account = serverAccount() ?? { uid: 0, gid: 0 };
    const own = await mkdtemp(join(tmpdir(), 'modelpress-user-'));
    chownSync(own, account.uid, account.gid);
    const program = `require(${JSON.stringify(COMPILED)}).startCluster({ folder: ${JSON.stringify(join(own, 'pg'))} })
      .then((cluster) => cluster.stop()).then(() => console.log('fine'));`;
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', program], { ...account, cwd: '/', encoding: 'utf8' });
    await rm(own, { recursive: true, force: true });
    expect(stderr).toBe('');
    expect(stdout).toBe('fine\n');
  });
});

describe('startEmbedded', () => {
  it('gives the variables that a process needs to join', async () => {
    const home = join(folder, 'home');
    const embedded = await startEmbedded(home);
    expect(embedded.environment).toMatchObject({
      MODELPRESS_HOME: home,
      MODELPRESS_DATABASE_URL: embedded.databaseUrl,
      MODELPRESS_QUEUE: 'postgres',
      MODELPRESS_OBJECTS: 'folder',
    });
    const again = await startEmbedded(home);
    expect(again.environment).toEqual(embedded.environment);
    await Promise.all([embedded.stop(), again.stop()]);
  });
});
