/** @file Queues and workers. */
import type { QueueName } from '@modelpress/core';
import type { Lane } from '../database/entities';

export interface WorkerView {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly queue: QueueName;
  readonly lanes: readonly Lane[];
  readonly slots: number;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly usedMemoryBytes: number;
  readonly startedAt: Date;
  readonly seenAt: Date;
  readonly runs: number;
}

export interface QueueOverview {
  readonly queues: readonly {
    readonly queue: QueueName;
    readonly waiting: number;
    readonly running: number;
    readonly workers: number;
  }[];
  readonly workers: readonly WorkerView[];
}

export interface QueueStatus {
  /** Counts are of this project; workers serve all projects. */
  overview(projectId: string): Promise<QueueOverview>;
}
