/** @file Runs one attempt of a stage in a child process, so that a crash there never harms the worker. */
import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cancelled, ModelpressError, type LogLevel, type Progress, type StageResult } from '@modelpress/core';
import { fromChildSchema, type FromChild, type StartMessage, type ToChild } from './messages';

/** Compiled code runs in the child, also when this file itself is loaded from its source by a test. */
const CHILD_ENTRY = join(__dirname, '..', '..', 'dist', 'runner', 'child.js');

const LAST_LINES = 20;

/** What a running stage reports, as it comes. */
export interface RunnerListener {
  progress(progress: Progress): void;
  log(line: RunnerLogLine): void;
  metric(name: string, step: number, value: number): void;
  memory(bytes: number, peakBytes: number): void;
}

export interface RunnerLogLine {
  readonly time: Date;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface RunnerOptions {
  /** Time between the request to end and SIGKILL. */
  readonly stopGraceMs: number;
  readonly timeoutMs: number;
}

/** Time between the polite request and SIGTERM, which a stage that blocks its thread in native code does not see either. */
const TERM_SHARE = 0.5;

/**
 * Runs a stage to its end.
 * @throws ModelpressError what the stage raised; `cancelled` after `signal`; `runner.timeout`; `runner.crashed` with the
 * last lines that the child wrote.
 */
export async function runInChild(
  start: Omit<StartMessage, 'kind'>,
  listener: RunnerListener,
  signal: AbortSignal,
  { stopGraceMs, timeoutMs }: RunnerOptions,
): Promise<StageResult> {
  if (signal.aborted) throw cancelled(signal.reason);
  const child = fork(CHILD_ENTRY, {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    serialization: 'advanced',
    execArgv: ['--enable-source-maps'],
  });
  const lastLines: string[] = [];
  captureOutput(child, listener, lastLines);
  const ended = endOf(child);
  const outcome = listen(child, listener, start);
  const timeout = AbortSignal.timeout(timeoutMs);
  const stop = AbortSignal.any([signal, timeout]);
  const stopping = (): void => void stopChild(child, ended, stopGraceMs);
  stop.addEventListener('abort', stopping, { once: true });
  try {
    const end = await ended;
    if (signal.aborted) throw cancelled(signal.reason);
    if (timeout.aborted) throw timedOut(timeoutMs);
    if (outcome.message?.kind === 'result') return outcome.message.result as StageResult;
    if (outcome.message?.kind === 'error') throw ModelpressError.fromJSON(outcome.message.error);
    throw crashed(end, lastLines);
  } finally {
    stop.removeEventListener('abort', stopping);
  }
}

type Ending = { readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly error?: Error };

function endOf(child: ChildProcess): Promise<Ending> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: null, signal: null, error }));
    // close: after everything that the child wrote has been read.
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}

/** Passes messages on. The last word of the child (result or error) is kept. */
function listen(child: ChildProcess, listener: RunnerListener, start: Omit<StartMessage, 'kind'>) {
  const outcome: { message?: Extract<FromChild, { kind: 'result' | 'error' }> } = {};
  child.on('message', (raw) => {
    const parsed = fromChildSchema.safeParse(raw);
    if (!parsed.success) {
      const message = `The stage sent what is not a message: ${parsed.error.message}`;
      const error = new ModelpressError('internal', 'runner.protocol', message).toJSON();
      outcome.message ??= { kind: 'error', error: { ...error } };
      return;
    }
    const message = parsed.data;
    switch (message.kind) {
      case 'ready':
        return tell(child, { kind: 'start', ...start });
      case 'progress': {
        const { etaSeconds, ...progress } = message.progress;
        return listener.progress(etaSeconds === undefined ? progress : { ...progress, etaSeconds });
      }
      case 'log':
        return listener.log({ ...message, time: new Date(message.time) });
      case 'metric':
        return listener.metric(message.name, message.step, message.value);
      case 'heartbeat':
        return listener.memory(message.memoryBytes, message.peakMemoryBytes);
      case 'result':
      case 'error':
        outcome.message ??= message;
    }
  });
  return outcome;
}

function tell(child: ChildProcess, message: ToChild): void {
  // A child that is gone cannot be told; its end is seen by `endOf`.
  if (child.connected) child.send(message, () => undefined);
}

/** Asks, then terms, then kills. */
async function stopChild(child: ChildProcess, ended: Promise<Ending>, graceMs: number): Promise<void> {
  tell(child, { kind: 'abort' });
  const within = async (ms: number): Promise<boolean> =>
    Promise.race([ended.then(() => true), sleep(ms, false, { ref: false })]);
  if (await within(graceMs * TERM_SHARE)) return;
  child.kill('SIGTERM');
  if (await within(graceMs * (1 - TERM_SHARE))) return;
  child.kill('SIGKILL');
}

/** What a stage or a native library prints becomes log lines, and the last of it explains a crash. */
function captureOutput(child: ChildProcess, listener: RunnerListener, lastLines: string[]): void {
  const streams = [
    { stream: child.stdout, level: 'info' },
    { stream: child.stderr, level: 'warn' },
  ] as const;
  for (const { stream, level } of streams) {
    let rest = '';
    const take = (line: string): void => {
      if (line === '') return;
      lastLines.push(line);
      if (lastLines.length > LAST_LINES) lastLines.shift();
      listener.log({ time: new Date(), level, message: line, fields: { from: 'output' } });
    };
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      lines.forEach(take);
    });
    stream?.on('end', () => take(rest));
  }
}

const timedOut = (timeoutMs: number): ModelpressError =>
  new ModelpressError('limit', 'runner.timeout', `The stage ran longer than the ${timeoutMs / 1000} s it may.`);

function crashed({ code, signal, error }: Ending, lastLines: readonly string[]): ModelpressError {
  const how = error?.message ?? (signal === null ? `it ended with code ${code}` : describeSignal(signal));
  return new ModelpressError('internal', 'runner.crashed', `The stage's process died: ${how}.`, {
    code,
    signal,
    lastLines: [...lastLines],
  });
}

const SIGNAL_MEANINGS: Partial<Record<NodeJS.Signals, string>> = {
  SIGKILL: 'it was killed (SIGKILL), which is also what the system does when memory runs out',
  SIGABRT: 'it aborted (SIGABRT), which is how Node ends when its heap is full',
  SIGSEGV: 'native code crashed (SIGSEGV)',
  SIGBUS: 'native code crashed (SIGBUS)',
};

const describeSignal = (signal: NodeJS.Signals): string => SIGNAL_MEANINGS[signal] ?? `it was ended by ${signal}`;
