/** @file Inserts and updates typed by our own row types: TypeORM's partial types do not know JSON columns. */
import type { EntityManager, EntitySchema, FindOptionsWhere, ObjectLiteral } from 'typeorm';

/** PostgreSQL takes at most 65,535 parameters in a statement; no table of ours has more than 32 columns. */
const ROWS_PER_STATEMENT = 2000;

/** Inserts rows in order. Columns that a row leaves out take their default. */
export async function insertRows<T extends ObjectLiteral>(
  manager: EntityManager,
  entity: EntitySchema<T>,
  rows: readonly Partial<T>[],
): Promise<void> {
  for (let start = 0; start < rows.length; start += ROWS_PER_STATEMENT) {
    const part = rows.slice(start, start + ROWS_PER_STATEMENT);
    await manager.insert(entity, part);
  }
}

/** Inserts rows that are not there yet; others stay as they are. */
export async function insertMissing<T extends ObjectLiteral>(
  manager: EntityManager,
  entity: EntitySchema<T>,
  rows: readonly Partial<T>[],
): Promise<void> {
  if (rows.length === 0) return;
  const values = rows as Parameters<typeof manager.insert<T>>[1];
  await manager.createQueryBuilder().insert().into(entity).values(values).orIgnore().execute();
}

/** @returns how many rows there were. */
export async function updateRows<T extends ObjectLiteral>(
  manager: EntityManager,
  entity: EntitySchema<T>,
  where: FindOptionsWhere<T>,
  changes: Partial<NoInfer<T>>,
): Promise<number> {
  const { affected } = await manager.update(entity, where, changes);
  return affected ?? 0;
}
