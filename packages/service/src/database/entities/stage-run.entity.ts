import type { DatasetRole, Measurement, Progress, QueueName, ReportSection, SerializedError } from '@modelpress/core';
import { EntitySchema } from 'typeorm';
import {
  ATTEMPT_STATES,
  STATES,
  WAITING_REASONS,
  type AttemptState,
  type State,
  type WaitingReason,
} from '../../state/states';
import { bigint, createdAt, id, integer, json, oneOf, references, serial, text, time, uuid, word } from '../columns';

/**
 * Artifacts that a stage run reads. Its model is either given here or the output of its upstream run; its baseline is given
 * here or the output of a run further up, which stands as long as this one because it is upstream of it.
 */
export interface RunInputs {
  readonly model: string | null;
  readonly baseline: string | null;
  readonly baselineRunId?: string;
  readonly teachers?: readonly string[];
  readonly datasets: Partial<Record<DatasetRole, string>>;
}

/** What a finished stage run reports besides its measurements. */
export interface RunResult {
  readonly sections: readonly ReportSection[];
  readonly warnings: readonly string[];
}

export const LANES = ['cpu', 'gpu'] as const;
/** Which workers of a queue may take a run. */
export type Lane = (typeof LANES)[number];

/** What the holder of a run is asked to do. */
export type StopRequest = 'cancel' | 'pause';

/** One execution of a stage. There is one row per project and key, so equal work exists once. */
export interface StageRun {
  id: string;
  projectId: string;
  /** SHA-256 over everything that decides the result; see planner/stage-key.ts. */
  key: string;
  type: string;
  version: number;
  queue: QueueName;
  lane: Lane;
  /** The stage's config as its schema parsed it. */
  config: Record<string, unknown>;
  seed: number;
  inputs: RunInputs;
  /** The run whose output model this one reads; null when it reads the job's model or none. */
  upstreamId: string | null;
  state: State;
  waitingFor: WaitingReason | null;
  error: SerializedError | null;
  /** Attempts started so far, and how many of them counted against the limit. */
  attempts: number;
  failures: number;
  /** Raised with each message sent to the queue; a message with an older number is stale. */
  dispatch: number;
  /** Highest priority among the jobs that want it. */
  priority: number;
  /** When it entered the queue; with the priority it decides the order. */
  queuedAt: Date | null;
  /** Earliest start of the next attempt. */
  availableAt: Date | null;
  workerId: string | null;
  stopRequest: StopRequest | null;
  progress: Progress | null;
  outputId: string | null;
  checkpointId: string | null;
  result: RunResult | null;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
}

export const StageRunEntity = new EntitySchema<StageRun>({
  name: 'stage_run',
  columns: {
    id: id(),
    projectId: { ...uuid(), ...references('project') },
    key: text(),
    type: text(),
    version: integer(),
    queue: word(),
    lane: word(),
    config: json(),
    seed: bigint(),
    inputs: json(),
    upstreamId: { ...uuid({ nullable: true }), ...references('stage_run', 'RESTRICT') },
    state: word(),
    waitingFor: word({ nullable: true }),
    error: json({ nullable: true }),
    attempts: integer({ default: 0 }),
    failures: integer({ default: 0 }),
    dispatch: integer({ default: 0 }),
    priority: integer(),
    queuedAt: time({ nullable: true }),
    availableAt: time({ nullable: true }),
    workerId: uuid({ nullable: true }),
    stopRequest: word({ nullable: true }),
    progress: json({ nullable: true }),
    outputId: { ...uuid({ nullable: true }), ...references('artifact', 'RESTRICT') },
    checkpointId: { ...uuid({ nullable: true }), ...references('artifact', 'SET NULL') },
    result: json({ nullable: true }),
    createdAt: createdAt(),
    startedAt: time({ nullable: true }),
    finishedAt: time({ nullable: true }),
  },
  indices: [
    { name: 'stage_run_key', columns: ['projectId', 'key'], unique: true },
    { name: 'stage_run_project', columns: ['projectId', 'id'] },
    { name: 'stage_run_upstream', columns: ['upstreamId'] },
    { name: 'stage_run_output', columns: ['outputId'] },
    { name: 'stage_run_checkpoint', columns: ['checkpointId'] },
    { name: 'stage_run_running', columns: ['workerId'], where: `state = 'running'` },
    { name: 'stage_run_queued', columns: ['queue', 'priority', 'queuedAt', 'id'], where: `state = 'queued'` },
    { name: 'stage_run_admission', columns: ['projectId', 'waitingFor', 'priority', 'id'], where: `state = 'queued'` },
  ],
  checks: [
    oneOf('stage_run', 'state', STATES),
    oneOf('stage_run', 'lane', LANES),
    {
      name: 'stage_run_waiting_check',
      expression: `waiting_for IS NULL OR (state = 'queued' AND waiting_for IN (${WAITING_REASONS.map((reason) => `'${reason}'`).join(', ')}))`,
    },
  ],
});

/** One try of a stage run on one worker. */
export interface Attempt {
  runId: string;
  /** Counted from 1. */
  number: number;
  state: AttemptState;
  workerId: string;
  error: SerializedError | null;
  startedAt: Date;
  finishedAt: Date | null;
  /** Highest resident memory of the child process seen. */
  peakMemoryBytes: number | null;
}

export const AttemptEntity = new EntitySchema<Attempt>({
  name: 'attempt',
  columns: {
    runId: { ...uuid({ primary: true }), ...references('stage_run') },
    number: integer({ primary: true }),
    state: word(),
    workerId: uuid(),
    error: json({ nullable: true }),
    startedAt: time(),
    finishedAt: time({ nullable: true }),
    peakMemoryBytes: bigint({ nullable: true }),
  },
  checks: [oneOf('attempt', 'state', ATTEMPT_STATES)],
});

/** A figure that a stage run measured. */
export interface StoredMeasurement {
  id: number;
  runId: string;
  metric: string;
  document: Measurement;
}

export const MeasurementEntity = new EntitySchema<StoredMeasurement>({
  name: 'measurement',
  columns: {
    id: serial(),
    runId: { ...uuid(), ...references('stage_run') },
    metric: text(),
    document: json(),
  },
  indices: [{ name: 'measurement_run', columns: ['runId', 'id'] }],
});
