/** @file A process of the local stack, started again if it dies. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ModelpressError } from '@modelpress/core';

/** Compiled code runs in the children, also when this file is loaded from its source by a test. */
const EXIT_WITH_PARENT = join(__dirname, '..', '..', 'dist', 'local', 'exit-with-parent.js');
const RESTART_DELAY_MS = 500;
/** A process that dies more often than this in its first seconds cannot run at all. */
const MAX_EARLY_DEATHS = 3;
const EARLY_MS = 10_000;
const STOP_TIMEOUT_MS = 20_000;
const LAST_LINES = 10;

export interface SupervisedOptions {
  readonly name: string;
  /** Compiled main file. */
  readonly entry: string;
  readonly env: NodeJS.ProcessEnv;
  /** Output is appended here. */
  readonly logFile: string;
  /** Hears that it died and is started again. */
  readonly onRestart: (name: string, how: string) => void;
  /** Hears that it cannot run. */
  readonly onGiveUp: (error: ModelpressError) => void;
}

export class Supervised {
  private child: ChildProcess;
  private startedAt = 0;
  private earlyDeaths = 0;
  private stopping = false;
  private restart: NodeJS.Timeout | undefined;

  constructor(private readonly options: SupervisedOptions) {
    this.child = this.start();
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** Asks the process to end and waits for it; kills it when it takes too long. */
  async stop(): Promise<void> {
    this.stopping = true;
    clearTimeout(this.restart);
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }

  private start(): ChildProcess {
    const { entry, env, logFile } = this.options;
    const log = openSync(logFile, 'a');
    const child = fork(entry, {
      env,
      execArgv: ['--require', EXIT_WITH_PARENT],
      stdio: ['ignore', log, log, 'ipc'],
      // Its own process group: Ctrl-C in a terminal reaches this process alone, which ends the others in order.
      detached: true,
    });
    closeSync(log);
    this.startedAt = Date.now();
    child.once('exit', (code, signal) => this.died(signal === null ? `code ${code}` : signal));
    return child;
  }

  private died(how: string): void {
    if (this.stopping) return;
    const { name, onRestart, onGiveUp } = this.options;
    this.earlyDeaths = Date.now() - this.startedAt < EARLY_MS ? this.earlyDeaths + 1 : 0;
    if (this.earlyDeaths >= MAX_EARLY_DEATHS) {
      onGiveUp(this.cannotRun(how));
      return;
    }
    onRestart(name, how);
    this.restart = setTimeout(() => (this.child = this.start()), RESTART_DELAY_MS);
  }

  private cannotRun(how: string): ModelpressError {
    const { name, logFile } = this.options;
    const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-LAST_LINES);
    const message = `The ${name} process does not start (${how}). Its last lines in ${logFile}:\n${lines.join('\n')}`;
    return new ModelpressError('internal', 'stack.process', message, { file: logFile });
  }
}
