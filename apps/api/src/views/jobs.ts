/** @file Jobs and stage runs as the API shows them. */
import { QUEUES, recipeSchema, reportSectionSchema, measurementSchema } from '@modelpress/core';
import {
  ATTEMPT_STATES,
  LANES,
  STATES,
  WAITING_REASONS,
  type DryRun,
  type JobDetail,
  type JobView,
  type RunDetail,
  type RunView,
} from '@modelpress/service';
import { z } from 'zod';
import { errorView, id, time, viewOf } from './view';

export const state = z.enum(STATES);
const values = z.record(z.string(), z.unknown()).describe('Swept values by path; empty without a sweep.');
const datasets = z
  .object({ data: id.optional(), unlabelled: id.optional(), calibration: id.optional() })
  .describe('Data sets by role.');

const progress = z.object({
  fraction: z.number().describe('0 to 1.'),
  phase: z.string(),
  etaSeconds: z.number().optional(),
});

const jobFields = {
  id,
  name: z.string(),
  state,
  error: errorView.nullable(),
  modelId: id.nullable(),
  teacherIds: z.array(id).describe('Further models that teach.'),
  datasets,
  priority: z.int(),
  clonedFrom: id.nullable(),
  webhookUrl: z.string().nullable(),
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
};

export const jobView = viewOf<JobView>()(z.object(jobFields).meta({ id: 'Job' }));

const jobStage = z.object({
  variant: z.int(),
  stage: z.string(),
  type: z.string(),
  runId: id,
  reused: z.boolean(),
  state,
  waitingFor: z.enum(WAITING_REASONS).nullable(),
  progress: progress.nullable(),
  attempts: z.int(),
  error: errorView.nullable(),
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
});

export const jobDetail = viewOf<JobDetail>()(
  z
    .object({
      ...jobFields,
      recipe: recipeSchema,
      variants: z.array(values),
      stages: z.array(jobStage),
      progress: z.number(),
    })
    .meta({ id: 'JobDetail' }),
);

const ratios = z.object({
  parameters: z.number().optional(),
  bytes: z.number().optional(),
  flops: z.number().optional(),
});

const estimate = z.object({
  parameters: z.number().optional(),
  bytes: z.number().optional(),
  flops: z.number().optional(),
  seconds: z.number().optional(),
  notes: z.array(z.string()),
});

export const dryRunView = viewOf<DryRun>()(
  z
    .object({
      variants: z.array(
        z.object({
          values,
          stages: z.array(
            z.object({
              stage: z.string(),
              type: z.string(),
              queue: z.enum(QUEUES),
              config: z.unknown(),
              existing: state.nullable().describe('State of an equal stage run that the job would share.'),
              estimate: estimate.describe("Expected effect relative to the stage's input model."),
              total: ratios.describe("All effects up to this stage, relative to the job's model."),
            }),
          ),
        }),
      ),
      warnings: z.array(z.string()),
    })
    .meta({ id: 'DryRun' }),
);

const waiting = z.object({
  reason: z.enum([...WAITING_REASONS, 'no-worker']),
  message: z.string(),
  position: z.int().optional(),
  until: time.optional(),
});

const runFields = {
  id,
  key: z.string().describe('Digest of everything that decides the result; equal keys run once.'),
  type: z.string(),
  version: z.int(),
  queue: z.enum(QUEUES),
  lane: z.enum(LANES),
  config: z.record(z.string(), z.unknown()),
  seed: z.int(),
  upstreamId: id.nullable(),
  state,
  waiting: waiting.nullable(),
  error: errorView.nullable(),
  priority: z.int(),
  progress: progress.nullable(),
  outputId: id.nullable().describe('Artifact of the model that it made.'),
  result: z.object({ sections: z.array(reportSectionSchema), warnings: z.array(z.string()) }).nullable(),
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
};

export const runView = viewOf<RunView>()(z.object(runFields).meta({ id: 'StageRun' }));

const attempt = z.object({
  number: z.int(),
  state: z.enum(ATTEMPT_STATES),
  workerId: id,
  error: errorView.nullable(),
  startedAt: time,
  finishedAt: time.nullable(),
  peakMemoryBytes: z.int().nullable(),
});

export const runDetail = viewOf<RunDetail>()(
  z
    .object({
      ...runFields,
      attempts: z.array(attempt),
      measurements: z.array(measurementSchema),
      jobs: z.array(id),
    })
    .meta({ id: 'StageRunDetail' }),
);
