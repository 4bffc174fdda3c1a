/** @file Column kinds shared by the entities, each with the one conversion that it needs. */
import type { EntitySchemaColumnOptions } from 'typeorm';
import { ModelpressError } from '@modelpress/core';

interface Extra {
  readonly nullable?: boolean;
  readonly default?: unknown;
  readonly primary?: boolean;
  readonly unique?: boolean;
}

/** node-postgres returns int8 as text; every figure we keep fits a double exactly, and one that does not is an error. */
export function bigintToNumber(value: string | number | null): number | null {
  if (value === null) return null;
  const number = Number(value);
  if (!Number.isSafeInteger(number)) {
    throw new ModelpressError('internal', 'database.unsafe-integer', `${value} does not fit a JavaScript number.`);
  }
  return number;
}

const bigintTransformer = { to: (value: number | null | undefined) => value, from: bigintToNumber };

export const id = (): EntitySchemaColumnOptions => ({ type: 'uuid', primary: true });
export const uuid = (extra: Extra = {}): EntitySchemaColumnOptions => ({ type: 'uuid', ...extra });
export const text = (extra: Extra = {}): EntitySchemaColumnOptions => ({ type: 'text', ...extra });
export const integer = (extra: Extra = {}): EntitySchemaColumnOptions => ({ type: 'integer', ...extra });
export const real = (extra: Extra = {}): EntitySchemaColumnOptions => ({ type: 'double precision', ...extra });
export const flag = (extra: Extra = {}): EntitySchemaColumnOptions => ({ type: 'boolean', ...extra });
export const json = (extra: Extra = {}): EntitySchemaColumnOptions => ({ type: 'jsonb', ...extra });
export const time = (extra: Extra = {}): EntitySchemaColumnOptions => ({
  type: 'timestamp with time zone',
  ...extra,
});
export const createdAt = (): EntitySchemaColumnOptions => time({ default: () => 'now()' });

/** A whole number beyond 2^31: bytes, counters. */
export const bigint = (extra: Extra = {}): EntitySchemaColumnOptions => ({
  type: 'bigint',
  transformer: bigintTransformer,
  ...extra,
});

/** A counter that the database hands out. */
export const serial = (): EntitySchemaColumnOptions => ({
  type: 'bigint',
  primary: true,
  generated: 'increment',
  transformer: bigintTransformer,
});

/** One of a fixed list of words, stored as text and checked by the database (see `oneOf`). */
export const word = (extra: Extra = {}): EntitySchemaColumnOptions => ({ type: 'text', ...extra });

/** Check constraint: the column holds one of these words. */
export const oneOf = (table: string, column: string, words: readonly string[]) => ({
  name: `${table}_${column}_check`,
  expression: `${column} IN (${words.map((value) => `'${value}'`).join(', ')})`,
});

/** Reference to another table; rows go with what they refer to unless stated. */
export const references = (
  target: string,
  onDelete: 'CASCADE' | 'RESTRICT' | 'SET NULL' = 'CASCADE',
): { readonly foreignKey: NonNullable<EntitySchemaColumnOptions['foreignKey']> } => ({
  foreignKey: { target, onDelete },
});
