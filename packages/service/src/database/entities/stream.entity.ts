/** @file Rows that are only ever added: events, log lines, points of curves. */
import type { LogLevel } from '@modelpress/core';
import { EntitySchema } from 'typeorm';
import { integer, json, real, references, serial, text, time, uuid, word } from '../columns';

export const EVENT_KINDS = [
  'job.created',
  'job.state',
  'job.deleted',
  'run.state',
  'run.progress',
  'run.metrics',
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/**
 * Something that happened in a project. Ids rise in commit order within a project, because every writer holds the
 * project's lock until it commits: a reader that has seen id n never misses a smaller one.
 */
export interface StoredEvent {
  id: number;
  projectId: string;
  kind: EventKind;
  jobId: string | null;
  runId: string | null;
  data: Record<string, unknown>;
  time: Date;
}

export const EventEntity = new EntitySchema<StoredEvent>({
  name: 'event',
  columns: {
    id: serial(),
    projectId: { ...uuid(), ...references('project') },
    kind: word(),
    jobId: uuid({ nullable: true }),
    runId: uuid({ nullable: true }),
    data: json(),
    time: time(),
  },
  indices: [
    { name: 'event_project', columns: ['projectId', 'id'] },
    { name: 'event_job', columns: ['jobId', 'id'] },
    { name: 'event_run', columns: ['runId', 'id'] },
  ],
});

export interface LogLine {
  id: number;
  runId: string;
  attempt: number;
  time: Date;
  level: LogLevel;
  message: string;
  fields: Record<string, unknown>;
}

export const LogLineEntity = new EntitySchema<LogLine>({
  name: 'log_line',
  columns: {
    id: serial(),
    runId: { ...uuid(), ...references('stage_run') },
    attempt: integer(),
    time: time(),
    level: word(),
    message: text(),
    fields: json(),
  },
  indices: [{ name: 'log_line_run', columns: ['runId', 'id'] }],
});

/** A point of a curve that a stage streamed while it ran. */
export interface MetricPoint {
  id: number;
  runId: string;
  attempt: number;
  name: string;
  step: number;
  value: number;
}

export const MetricPointEntity = new EntitySchema<MetricPoint>({
  name: 'metric_point',
  columns: {
    id: serial(),
    runId: { ...uuid(), ...references('stage_run') },
    attempt: integer(),
    name: text(),
    step: real(),
    value: real(),
  },
  indices: [{ name: 'metric_point_run', columns: ['runId', 'id'] }],
});
