/** @file Rows that keep the service itself running: workers, messages to send, answers to repeated requests. */
import type { QueueName } from '@modelpress/core';
import { EntitySchema } from 'typeorm';
import { bigint, createdAt, id, integer, json, references, serial, text, time, uuid, word } from '../columns';
import type { Lane } from './stage-run.entity';

/** A worker process, as it last reported itself. */
export interface WorkerRow {
  id: string;
  name: string;
  host: string;
  /** Where `pid` means something; see worker/machine.ts. */
  machine: string;
  pid: number;
  queue: QueueName;
  lanes: Lane[];
  /** Stage runs it executes at once. */
  slots: number;
  cores: number;
  memoryBytes: number;
  /** Resident memory of the worker and its children. */
  usedMemoryBytes: number;
  startedAt: Date;
  seenAt: Date;
}

export const WorkerEntity = new EntitySchema<WorkerRow>({
  name: 'worker',
  columns: {
    id: id(),
    name: text(),
    host: text(),
    machine: text(),
    pid: integer(),
    queue: word(),
    lanes: { type: 'text', array: true },
    slots: integer(),
    cores: integer(),
    memoryBytes: bigint(),
    usedMemoryBytes: bigint(),
    startedAt: time(),
    seenAt: time(),
  },
  indices: [{ name: 'worker_seen', columns: ['seenAt'] }],
});

/** What leaves the database for elsewhere; written in the transaction that decided it, sent after the commit. */
export type OutboxMessage =
  | {
      readonly kind: 'enqueue';
      readonly queue: QueueName;
      readonly lane: Lane;
      readonly runId: string;
      readonly dispatch: number;
      readonly priority: number;
      readonly delayMs: number;
    }
  | {
      readonly kind: 'withdraw';
      readonly queue: QueueName;
      readonly lane: Lane;
      readonly runId: string;
      readonly dispatch: number;
    }
  | {
      readonly kind: 'webhook';
      readonly url: string;
      readonly projectId: string;
      readonly body: Record<string, unknown>;
    };

export interface OutboxRow {
  id: number;
  message: OutboxMessage;
  availableAt: Date;
  /** Times that sending failed. */
  failures: number;
  lastError: string | null;
  createdAt: Date;
}

export const OutboxEntity = new EntitySchema<OutboxRow>({
  name: 'outbox',
  columns: {
    id: serial(),
    message: json(),
    availableAt: time(),
    failures: integer({ default: 0 }),
    lastError: text({ nullable: true }),
    createdAt: createdAt(),
  },
  indices: [{ name: 'outbox_available', columns: ['availableAt', 'id'] }],
});

/** The answer to a POST with an Idempotency-Key, given again when the request is repeated. */
export interface IdempotencyRow {
  projectId: string;
  key: string;
  /** SHA-256 of method, path and body: the same key with another request is refused. */
  fingerprint: string;
  /** Null while the first request is being answered. */
  response: { readonly status: number; readonly body: unknown } | null;
  createdAt: Date;
}

export const IdempotencyEntity = new EntitySchema<IdempotencyRow>({
  name: 'idempotency_key',
  columns: {
    projectId: { ...uuid({ primary: true }), ...references('project') },
    key: text({ primary: true }),
    fingerprint: text(),
    response: json({ nullable: true }),
    createdAt: createdAt(),
  },
  indices: [{ name: 'idempotency_key_created', columns: ['createdAt'] }],
});
