import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { startCluster } from './cluster';

export interface Embedded {
  /** Address of the database. */
  readonly databaseUrl: string;
  /** Variables that make an API or worker process use this stack; see docs/configuration.md. */
  readonly environment: Readonly<Record<string, string>>;
  /** Stops the database. Stop the API and the workers first. */
  stop(): Promise<void>;
}

/**
 * Starts what a machine with nothing but Node needs: PostgreSQL in `<folder>/postgres`, the queue in it, objects in
 * `<folder>/objects`, caches in `<folder>/work`. Warm start takes well under a second; everything is kept.
 */
export async function startEmbedded(folder: string): Promise<Embedded> {
  const home = resolve(folder);
  await mkdir(home, { recursive: true });
  const cluster = await startCluster({ folder: join(home, 'postgres') });
  await cluster.ensureDatabase('modelpress');
  const databaseUrl = cluster.url('modelpress');
  return {
    databaseUrl,
    environment: {
      MODELPRESS_HOME: home,
      MODELPRESS_DATABASE_URL: databaseUrl,
      MODELPRESS_QUEUE: 'postgres',
      MODELPRESS_OBJECTS: 'folder',
    },
    stop: () => cluster.stop(),
  };
}
