/** @file Imports run in a process of their own: hostile files cannot crash, block or swell the API. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { limitExceeded, ModelpressError, unsupported } from '@modelpress/core';
import { Inject, Injectable } from '@nestjs/common';
import type { ApiConfig } from '../config';
import { API_CONFIG } from '../tokens';
import type { ImportAnswer, ImportKind, ImportTasks } from './import-task';

/** Compiled code runs in the child, also when this file itself is loaded from its source by a test. */
const CHILD_ENTRY = join(__dirname, '..', '..', 'dist', 'uploads', 'import-process.js');

@Injectable()
export class Importer {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(@Inject(API_CONFIG) private readonly config: ApiConfig) {}

  /**
   * Checks and converts an upload. Waits while as many imports run as are allowed.
   * @throws ModelpressError what the import found wrong; `import.crashed`, `import.timeout`, `cancelled`.
   */
  async run<K extends ImportKind>(
    kind: K,
    task: ImportTasks[K]['task'],
    signal: AbortSignal,
  ): Promise<ImportTasks[K]['result']> {
    await this.slot();
    try {
      return (await this.fork(kind, task, signal)) as ImportTasks[K]['result'];
    } finally {
      this.running -= 1;
      this.waiting.shift()?.();
    }
  }

  private async slot(): Promise<void> {
    while (this.running >= this.config.maxImports) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.running += 1;
  }

  private fork(kind: ImportKind, task: unknown, signal: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timeout = AbortSignal.timeout(this.config.importTimeoutMs);
      const child = fork(CHILD_ENTRY, {
        execArgv: [],
        serialization: 'advanced',
        signal: AbortSignal.any([signal, timeout]),
        killSignal: 'SIGKILL',
      });
      child.once('message', (answer: ImportAnswer) => {
        if ('error' in answer) reject(ModelpressError.fromJSON(answer.error));
        else resolve(answer.result);
      });
      child.once('error', (error) => {
        const { importTimeoutMs } = this.config;
        const message = `The files could not be read within ${Math.round(importTimeoutMs / 1000)} s.`;
        reject(timeout.aborted ? limitExceeded('import.timeout', message) : ModelpressError.from(error));
      });
      // After an answer this changes nothing: a promise is settled once.
      child.once('exit', (_, killedBy) => {
        const why = killedBy === null ? '' : ` (${killedBy})`;
        reject(unsupported('import.crashed', `The process that read the files ended without an answer${why}.`));
      });
      child.send({ kind, task });
    });
  }
}
