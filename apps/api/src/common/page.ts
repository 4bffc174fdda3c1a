/** @file One shape of lists everywhere: newest first, `next` is the cursor of the following page. */
import { z } from 'zod';

const pageFields = {
  cursor: z.string().min(1).max(200).optional().describe('`next` of the page before.'),
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('Items of a page.'),
};

export const pageQuery = z.strictObject(pageFields);

export const pageQueryWith = <Shape extends z.ZodRawShape>(shape: Shape) => z.strictObject({ ...pageFields, ...shape });

/** `{ items, next }` of a view; `next` is null on the last page. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), next: z.string().nullable() });

/** A query without the fields that were not given, as the service wants it. */
export const given = <T extends object>(query: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
