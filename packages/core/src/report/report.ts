/** @file A job's report: every figure that was measured, what was asked for, and whether it was reached. */
import { z } from 'zod';
import { recipeSchema } from '../recipe/recipe';
import { measurementSchema, reportSectionSchema } from './measurement';

/** States of a job and of each of its stage runs. */
export const RUN_STATES = ['queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled'] as const;
export type RunState = (typeof RUN_STATES)[number];

export const reportStageSchema = z
  .object({
    /** Its name in the recipe. */
    id: z.string(),
    type: z.string(),
    /** Stage whose model it read; absent: the job's model. */
    from: z.string().optional(),
    makesModel: z.boolean(),
    state: z.enum(RUN_STATES),
    /** Wall time of the attempt that succeeded. */
    seconds: z.number().min(0).optional(),
    attempts: z.int().min(0),
    /** True when the result of an equal, earlier stage run was taken. */
    reused: z.boolean(),
    config: z.record(z.string(), z.unknown()),
    measurements: z.array(measurementSchema),
    sections: z.array(reportSectionSchema),
    warnings: z.array(z.string()),
    /** Why it failed. */
    error: z.string().optional(),
  })
  .meta({ id: 'ReportStage' });
export type ReportStage = z.infer<typeof reportStageSchema>;

export const comparisonSchema = z
  .object({
    metric: z.string(),
    unit: z.string(),
    context: measurementSchema.shape.context,
    /** Figure of the original model; null where it was not measured. */
    baseline: z.number().nullable(),
    candidate: z.number(),
    better: z.enum(['higher', 'lower']),
  })
  .meta({ id: 'Comparison' });
/** One metric of the original and of the resulting model, measured under the same conditions. */
export type Comparison = z.infer<typeof comparisonSchema>;

export const goalResultSchema = z
  .object({
    goal: z.enum(['maxDrop', 'minSpeedup', 'maxBytes', 'maxLatencyMs']),
    /** What was asked for, in words. */
    label: z.string(),
    unit: z.string(),
    limit: z.number(),
    /** Null when the figure was not measured; then the goal counts as missed. */
    actual: z.number().nullable(),
    passed: z.boolean(),
    /** How far inside the limit, in the unit; negative outside. */
    margin: z.number().nullable(),
    /** Why it is missed: what the figure comes from, or which stage would have measured it. */
    reason: z.string().optional(),
  })
  .meta({ id: 'GoalResult' });
export type GoalResult = z.infer<typeof goalResultSchema>;

const time = z.iso.datetime();

export const reportSchema = z
  .object({
    format: z.literal(1),
    job: z.object({
      id: z.string(),
      name: z.string(),
      state: z.enum(RUN_STATES),
      createdAt: time,
      startedAt: time.optional(),
      finishedAt: time.optional(),
    }),
    /** The original model. Absent for jobs that start from nothing. */
    model: z.object({ name: z.string(), architecture: z.string(), parameters: z.int() }).optional(),
    datasets: z.array(z.object({ role: z.string(), name: z.string(), rows: z.record(z.string(), z.int()) })),
    recipe: recipeSchema,
    stages: z.array(reportStageSchema),
    /** Stage whose model is the job's result; absent when no stage made one. */
    result: z.string().optional(),
    comparisons: z.array(comparisonSchema),
    goals: z.array(goalResultSchema),
    warnings: z.array(z.string()),
  })
  .meta({ id: 'Report' });
export type Report = z.infer<typeof reportSchema>;
