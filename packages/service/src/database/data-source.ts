import { DataSource } from 'typeorm';
import * as entities from './entities';
import { MIGRATIONS } from './migrations';
import { SnakeNaming } from './naming';

const ENTITIES = [
  entities.ProjectEntity,
  entities.ApiKeyEntity,
  entities.BlobEntity,
  entities.ArtifactEntity,
  entities.ArtifactFileEntity,
  entities.ModelEntity,
  entities.DatasetEntity,
  entities.RecipeEntity,
  entities.StageRunEntity,
  entities.JobEntity,
  entities.JobStageEntity,
  entities.ReportEntity,
  entities.AttemptEntity,
  entities.MeasurementEntity,
  entities.EventEntity,
  entities.LogLineEntity,
  entities.MetricPointEntity,
  entities.WorkerEntity,
  entities.OutboxEntity,
  entities.IdempotencyEntity,
];

export interface DatabaseOptions {
  readonly url: string;
  /** Connections of this process. */
  readonly poolSize?: number;
}

/** An open connection pool. It never changes the schema by itself: see `migrate`. */
export function openDatabase({ url, poolSize = 10 }: DatabaseOptions): Promise<DataSource> {
  return new DataSource({
    type: 'postgres',
    url,
    poolSize,
    applicationName: 'modelpress',
    entities: ENTITIES,
    migrations: [...MIGRATIONS],
    migrationsTableName: 'migration',
    namingStrategy: new SnakeNaming(),
    synchronize: false,
  }).initialize();
}

/** Stable key of the lock that keeps two processes from migrating at once. */
const MIGRATION_LOCK = 0x6d705f6d;

/** Brings the schema up to date. Safe to call from many processes at once. */
export async function migrate(database: DataSource): Promise<void> {
  const lock = database.createQueryRunner();
  await lock.connect();
  try {
    await lock.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await database.runMigrations({ transaction: 'each' });
  } finally {
    await lock.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]);
    await lock.release();
  }
}

/** Statements that would still be needed to make the schema match the entities, and those that undo them. */
export interface MigrationDrift {
  readonly up: readonly string[];
  readonly down: readonly string[];
}

/** Empty, unless a migration is missing. */
export async function migrationDrift(database: DataSource): Promise<MigrationDrift> {
  const { upQueries, downQueries } = await database.driver.createSchemaBuilder().log();
  return { up: upQueries.map(({ query }) => query), down: downQueries.map(({ query }) => query).reverse() };
}
