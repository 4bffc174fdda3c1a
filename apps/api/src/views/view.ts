/** @file Schemas of answers. They document what the service returns; the compiler holds both together. */
import { z } from 'zod';

/** A value as JSON carries it: dates are text. */
export type Json<T> = T extends Date ? string : T extends object ? { -readonly [K in keyof T]: Json<T[K]> } : T;

type Keys<T> = T extends unknown ? keyof T : never;

/**
 * Declares the schema of a service type: every value of the type must fit the schema and the schema may have no key
 * that the type lacks, so a change of either alone does not compile.
 */
export const viewOf =
  <T>() =>
  <S extends z.ZodType>(
    schema: S & (Json<T> extends z.output<S> ? (Keys<z.output<S>> extends Keys<T> ? unknown : never) : never),
  ): S =>
    schema;

export const time = z.iso.datetime();
export const id = z.string().describe('UUID.');
export const nullable = <S extends z.ZodType>(schema: S) => schema.nullable();

export const errorView = z
  .object({
    kind: z.string(),
    code: z.string(),
    message: z.string(),
    details: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'StageError' });
