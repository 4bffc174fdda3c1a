/** @file Logs, events, reports, comparison and the queue as the API shows them. */
import { QUEUES, reportSchema } from '@modelpress/core';
import {
  EVENT_KINDS,
  LANES,
  type EventView,
  type JobComparison,
  type JobReport,
  type LogView,
  type QueueOverview,
  type Readiness,
} from '@modelpress/service';
import { z } from 'zod';
import { id, time, viewOf } from './view';

const values = z.record(z.string(), z.unknown());

export const logView = viewOf<LogView>()(
  z
    .object({
      id: z.int(),
      attempt: z.int(),
      time,
      level: z.enum(['debug', 'info', 'warn', 'error']),
      message: z.string(),
      fields: z.record(z.string(), z.unknown()),
    })
    .meta({ id: 'LogLine' }),
);

export const eventView = viewOf<EventView>()(
  z
    .object({
      id: z.int(),
      kind: z.enum(EVENT_KINDS),
      jobId: id.nullable(),
      runId: id.nullable(),
      data: z.record(z.string(), z.unknown()),
      time,
    })
    .meta({ id: 'Event' }),
);

export const metricsView = z
  .array(z.object({ name: z.string(), points: z.array(z.tuple([z.number(), z.number()])) }))
  .meta({ id: 'Metrics' });

export const reportView = viewOf<JobReport>()(
  z
    .object({
      jobId: id,
      goalsReached: z.boolean(),
      variants: z.array(z.object({ variant: z.int(), values, report: reportSchema })),
    })
    .meta({ id: 'JobReport' }),
);

export const comparisonView = viewOf<JobComparison>()(
  z
    .object({
      jobs: z.array(z.object({ id, name: z.string() })),
      rows: z.array(
        z.object({
          jobId: id,
          variant: z.int(),
          values,
          figures: z.record(z.string(), z.number()),
          pareto: z
            .boolean()
            .describe('No other row is at least as good in quality, bytes and latency, and better in one.'),
        }),
      ),
    })
    .meta({ id: 'JobComparison' }),
);

const worker = z.object({
  id,
  name: z.string(),
  host: z.string(),
  queue: z.enum(QUEUES),
  lanes: z.array(z.enum(LANES)),
  slots: z.int(),
  cores: z.int(),
  memoryBytes: z.int(),
  usedMemoryBytes: z.int(),
  startedAt: time,
  seenAt: time,
  runs: z.int(),
});

export const queueView = viewOf<QueueOverview>()(
  z
    .object({
      queues: z.array(z.object({ queue: z.enum(QUEUES), waiting: z.int(), running: z.int(), workers: z.int() })),
      workers: z.array(worker),
    })
    .meta({ id: 'Queue' }),
);

const check = z.object({ ok: z.boolean(), message: z.string() });

export const readinessView = viewOf<Readiness>()(
  z
    .object({ ready: z.boolean(), checks: z.object({ database: check, queue: check, objects: check }) })
    .meta({ id: 'Readiness' }),
);

export const stageTypeView = z
  .object({
    type: z.string(),
    version: z.int(),
    queue: z.enum(QUEUES),
    summary: z.string(),
    needs: z.object({
      model: z.union([z.boolean(), z.literal('optional')]),
      baseline: z.boolean().describe('Is measured against the original model, if the job has one.'),
      teachers: z.boolean().describe('Learns from the further teachers of the job, if it has any.'),
      datasets: z.array(z.string()),
      optionalDatasets: z.array(z.string()),
    }),
    makesModel: z.boolean(),
    schema: z.record(z.string(), z.unknown()).describe("JSON Schema (2020-12) of the stage's config."),
  })
  .meta({ id: 'StageType' });
