import type { QueueName } from '@modelpress/core';
import type { Lane } from '../database/entities';

/** Which queue, and which of its workers. */
export interface QueueAddress {
  readonly queue: QueueName;
  readonly lane: Lane;
}

/** A stage run that may start. `dispatch` tells it from earlier messages of the same run, which are stale. */
export interface WorkMessage {
  readonly runId: string;
  readonly dispatch: number;
}

export interface PublishOptions {
  /** 0 to 9, higher first; equal ones in the order of publishing. */
  readonly priority: number;
  readonly delayMs: number;
}

export interface QueueCounts {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
}

/** Resolves when the message is dealt with, for good or ill: the queue itself never tries again. */
export type MessageHandler = (message: WorkMessage) => Promise<void>;

export interface Consumer {
  /** Takes no more messages and resolves when those in hand are dealt with. */
  close(): Promise<void>;
}

/**
 * Carries messages from whoever decides that a stage run may start to a worker. The database is the truth and decides
 * what a message means: a message may come twice (a worker died while it had it) or be stale, and must then be harmless.
 * What is deliberately not here: attempts, results, dependencies, pausing.
 */
export interface WorkQueue {
  /** Publishing the same message again does nothing while it is in the queue. */
  publish(address: QueueAddress, message: WorkMessage, options: PublishOptions): Promise<void>;
  /** Takes a message out if nobody has it yet. */
  withdraw(address: QueueAddress, message: WorkMessage): Promise<void>;
  /** Whether the message is in the queue or in a worker's hands. */
  has(address: QueueAddress, message: WorkMessage): Promise<boolean>;
  counts(address: QueueAddress): Promise<QueueCounts>;
  /** Hands messages to the handler, at most `slots` at once. */
  consume(address: QueueAddress, slots: number, handler: MessageHandler): Promise<Consumer>;
  /** Fails if the queue cannot be reached. */
  check(): Promise<void>;
  close(): Promise<void>;
}
