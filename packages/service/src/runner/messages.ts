/** @file What a worker and the child process that runs a stage say to each other. Both ends check what they get. */
import { z } from 'zod';
import { measurementSchema, reportSectionSchema } from '@modelpress/core';

const fields = z.record(z.string(), z.unknown());
const roles = z.partialRecord(z.enum(['data', 'unlabelled', 'calibration']), z.string());

/** The stage to run, with every folder it may touch. Sent once, first. */
export const startSchema = z.object({
  kind: z.literal('start'),
  /** Module that exports the registry of stage types as `STAGES`. */
  stagesModule: z.string(),
  type: z.string(),
  config: z.unknown(),
  model: z.string().nullable(),
  baseline: z.string().nullable(),
  teachers: z.array(z.string()).optional(),
  datasets: roles,
  output: z.string(),
  checkpoints: z.string(),
  cache: z.string().optional(),
  seed: z.number(),
  threads: z.int().positive(),
  /** Whether the stage may use the native runtime; default auto. */
  native: z.enum(['auto', 'off']).optional(),
});
export type StartMessage = z.infer<typeof startSchema>;

export const toChildSchema = z.discriminatedUnion('kind', [startSchema, z.object({ kind: z.literal('abort') })]);
export type ToChild = z.infer<typeof toChildSchema>;

export const progressSchema = z.object({
  fraction: z.number().min(0).max(1),
  phase: z.string(),
  etaSeconds: z.number().min(0).optional(),
});

export const serializedErrorSchema = z.object({
  kind: z.enum([
    'invalid',
    'unsupported',
    'not-found',
    'conflict',
    'limit',
    'unauthorized',
    'forbidden',
    'cancelled',
    'unavailable',
    'internal',
  ]),
  code: z.string(),
  message: z.string(),
  details: fields,
});

export const stageResultSchema = z.object({
  model: z.string().optional(),
  measurements: z.array(measurementSchema),
  sections: z.array(reportSectionSchema),
  warnings: z.array(z.string()),
});

export const fromChildSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready') }),
  z.object({ kind: z.literal('progress'), progress: progressSchema }),
  z.object({
    kind: z.literal('log'),
    level: z.enum(['debug', 'info', 'warn', 'error']),
    message: z.string(),
    fields,
    time: z.number(),
  }),
  z.object({ kind: z.literal('metric'), name: z.string(), step: z.number(), value: z.number() }),
  /** Resident memory now, and the most so far. */
  z.object({ kind: z.literal('heartbeat'), memoryBytes: z.number(), peakMemoryBytes: z.number() }),
  z.object({ kind: z.literal('result'), result: stageResultSchema }),
  z.object({ kind: z.literal('error'), error: serializedErrorSchema }),
]);
export type FromChild = z.infer<typeof fromChildSchema>;
