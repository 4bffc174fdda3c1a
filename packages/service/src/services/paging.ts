/** @file Keyset paging: the cursor is the last id seen, so a page costs the same however deep it lies. */
import { invalid } from '@modelpress/core';
import { LessThan, type DataSource, type EntitySchema, type FindOptionsWhere } from 'typeorm';
import type { Page, PageRequest } from '../contract';
import { isId } from '../ids';

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 200;

/** Newest first. @throws ModelpressError `page.cursor`, `page.limit`. */
export async function findPage<T extends { id: string }, V>(
  database: DataSource,
  entity: EntitySchema<T>,
  where: FindOptionsWhere<T>,
  page: PageRequest,
  view: (rows: readonly T[]) => Promise<readonly V[]> | readonly V[],
): Promise<Page<V>> {
  const { cursor, limit = DEFAULT_LIMIT } = page;
  if (cursor !== undefined && !isId(cursor)) {
    throw invalid('page.cursor', 'A cursor is the `next` of another page.', { field: 'cursor' });
  }
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw invalid('page.limit', `A page has 1 to ${MAX_LIMIT} entries.`, { field: 'limit' });
  }
  const rows = await database
    .createQueryBuilder(entity, 'row')
    .where(where)
    .andWhere(cursor === undefined ? {} : { id: LessThan(cursor) })
    .orderBy('row.id', 'DESC')
    .limit(limit + 1)
    .getMany();
  const shown = rows.slice(0, limit);
  return { items: await view(shown), next: rows.length > limit ? (shown.at(-1)?.id ?? null) : null };
}
