import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startCluster } from './cluster';
import { isAlive } from './postmaster';

const DATABASE = 'modelpress';

export interface Embedded {
  /** Address of the database. */
  readonly databaseUrl: string;
  /** Variables that make an API or worker process use this stack; see docs/configuration.md. */
  readonly environment: Readonly<Record<string, string>>;
  /** Stops the database. Stop the API and the workers first. */
  stop(): Promise<void>;
}

/** How soon a server that died is noticed. */
const WATCH_MS = 500;

/**
 * Starts what a machine with nothing but Node needs: PostgreSQL in `<folder>/postgres`, the queue in it, objects in
 * `<folder>/objects`, caches in `<folder>/work`. Everything is kept. A server that is killed is started again under the
 * same address, and whoever uses it connects again.
 */
export async function startEmbedded(folder: string): Promise<Embedded> {
  const home = resolve(folder);
  await mkdir(home, { recursive: true });
  const options = { folder: join(home, 'postgres') };
  let cluster = await startCluster(options);
  await cluster.ensureDatabase(DATABASE);
  const databaseUrl = cluster.url(DATABASE);
  const watching = new AbortController();
  const watch = (async () => {
    while (!watching.signal.aborted) {
      await sleep(WATCH_MS, undefined, { signal: watching.signal, ref: false }).catch(() => undefined);
      // A start that fails is tried again: those who need the database say that it is away.
      if (!watching.signal.aborted && !isAlive(cluster.pid)) cluster = await startCluster(options).catch(() => cluster);
    }
  })();
  return {
    databaseUrl,
    environment: {
      MODELPRESS_HOME: home,
      MODELPRESS_DATABASE_URL: databaseUrl,
      MODELPRESS_QUEUE: 'postgres',
      MODELPRESS_OBJECTS: 'folder',
    },
    stop: async () => {
      watching.abort();
      await watch;
      await cluster.stop();
    },
  };
}
