import type { DatasetRole, Recipe, SerializedError } from '@modelpress/core';
import { EntitySchema } from 'typeorm';
import { STATES, type State } from '../../state/states';
import { createdAt, flag, id, integer, json, oneOf, references, text, time, uuid, word } from '../columns';

/** Values of the recipe's grids that make one variant of a sweep, by path; empty for a plain job. */
export type VariantValues = Readonly<Record<string, unknown>>;

/** A recipe applied to a model and data sets. */
export interface Job {
  id: string;
  projectId: string;
  name: string;
  state: State;
  /** First failure among its stage runs. */
  error: SerializedError | null;
  /** Null for a recipe whose stages start from nothing. */
  modelId: string | null;
  /** Further models that teach. */
  teacherIds: readonly string[];
  datasets: Partial<Record<DatasetRole, string>>;
  recipe: Recipe;
  /** One entry per variant, in order. */
  variants: VariantValues[];
  /** 0 to 9, higher runs sooner. */
  priority: number;
  /** Address that is told, by a signed POST, when the job ends. */
  webhookUrl: string | null;
  clonedFrom: string | null;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
}

export const JobEntity = new EntitySchema<Job>({
  name: 'job',
  columns: {
    id: id(),
    projectId: { ...uuid(), ...references('project') },
    name: text(),
    state: word(),
    error: json({ nullable: true }),
    modelId: { ...uuid({ nullable: true }), ...references('model', 'RESTRICT') },
    teacherIds: json({ default: [] }),
    datasets: json(),
    recipe: json(),
    variants: json(),
    priority: integer(),
    webhookUrl: text({ nullable: true }),
    clonedFrom: uuid({ nullable: true }),
    createdAt: createdAt(),
    startedAt: time({ nullable: true }),
    finishedAt: time({ nullable: true }),
  },
  indices: [
    { name: 'job_project', columns: ['projectId', 'id'] },
    { name: 'job_project_state', columns: ['projectId', 'state', 'id'] },
    { name: 'job_finished', columns: ['finishedAt'] },
  ],
  checks: [oneOf('job', 'state', STATES)],
});

/** A stage of a job: which stage run does it, and whether that run was there already. */
export interface JobStage {
  jobId: string;
  variant: number;
  /** The stage's id in the recipe. */
  stage: string;
  /** Place in the recipe, from 0. */
  position: number;
  runId: string;
  /** The run existed (running or done) when the job was submitted. */
  reused: boolean;
}

export const JobStageEntity = new EntitySchema<JobStage>({
  name: 'job_stage',
  columns: {
    jobId: { ...uuid({ primary: true }), ...references('job') },
    variant: integer({ primary: true }),
    stage: text({ primary: true }),
    position: integer(),
    runId: { ...uuid(), ...references('stage_run', 'RESTRICT') },
    reused: flag(),
  },
  indices: [{ name: 'job_stage_run', columns: ['runId'] }],
});

/** The result of a job, assembled when it ends. */
export interface StoredReport {
  jobId: string;
  document: object;
  createdAt: Date;
}

export const ReportEntity = new EntitySchema<StoredReport>({
  name: 'report',
  columns: {
    jobId: { ...uuid({ primary: true }), ...references('job') },
    document: json(),
    createdAt: createdAt(),
  },
});
