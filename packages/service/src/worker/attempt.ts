/** @file One attempt of a stage run: bring the inputs, run the stage, keep what it made. */
import { readdir, rm } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { ModelpressError, type StageResult } from '@modelpress/core';
import type { ArtifactStore } from '../artifacts/artifact-store';
import { exists, fetchFiles, type ArtifactCache } from '../artifacts/cache';
import type { WorkerConfig } from '../config/config';
import type { ProjectTransactions } from '../database/project-transaction';
import type { StageRun } from '../database/entities';
import type { Logger } from '../observe/logger';
import { runInChild } from '../runner/runner';
import type { AttemptOutcome, Kept, Lease, Leases } from '../state/leases';
import { holdInputs } from './inputs';
import { insist, patiently } from './insist';
import { Recorder } from './recorder';

export interface AttemptTools {
  readonly transactions: ProjectTransactions;
  readonly leases: Leases;
  readonly store: ArtifactStore;
  readonly cache: ArtifactCache;
  readonly config: WorkerConfig;
  readonly logger: Logger;
  /** Folder for what stages write. */
  readonly folder: string;
  /** Module that exports the registry of stage types as `STAGES`. */
  readonly stagesModule: string;
}

/** An attempt in progress, as its worker sees it. */
export interface RunningAttempt {
  readonly lease: Lease;
  readonly abort: AbortController;
  readonly recorder: Recorder;
}

/**
 * Runs the attempt to its end and records how it ended. Never throws: what cannot be recorded because the database is
 * away is tried until it can, or until the lease is lost.
 */
export async function executeAttempt(tools: AttemptTools, run: StageRun, running: RunningAttempt): Promise<void> {
  const { lease, abort, recorder } = running;
  const { leases, logger } = tools;
  const folder = join(tools.folder, run.id);
  const say = (message: string): void => recorder.log({ time: new Date(), level: 'info', message, fields: {} });
  say(`Attempt ${lease.attempt} of ${run.type} starts.`);
  try {
    const outcome = await produce(tools, run, running, folder);
    await recorder.close();
    await insist(logger, () => leases.succeed(lease, outcome));
    await rm(folder, { recursive: true, force: true });
  } catch (thrown) {
    const error = ModelpressError.from(thrown);
    logger.info(
      { run: run.id, attempt: lease.attempt, code: error.code, err: error },
      'An attempt ended without a result.',
    );
    recorder.log({ time: new Date(), level: 'error', message: error.message, fields: { ...error.details } });
    await recorder.close();
    const kept: Kept = {
      checkpointId: await keepCheckpoints(tools, run, folder),
      peakMemoryBytes: recorder.peakMemoryBytes,
    };
    const stopped = abort.signal.aborted;
    await insist(logger, () => (stopped ? leases.stop(lease, kept) : leases.fail(lease, error, kept)));
    await rm(join(folder, 'output'), { recursive: true, force: true });
  }
}

async function produce(
  tools: AttemptTools,
  run: StageRun,
  { abort, recorder }: RunningAttempt,
  folder: string,
): Promise<AttemptOutcome> {
  const { signal } = abort;
  const { config, store, logger } = tools;
  const inputs = await patiently(logger, signal, () =>
    holdInputs(tools.transactions.database, tools.cache, run, signal),
  );
  try {
    const checkpoints = join(folder, 'checkpoints');
    await patiently(logger, signal, () => restoreCheckpoints(store, run, checkpoints, signal));
    const output = join(folder, 'output');
    const start = {
      stagesModule: tools.stagesModule,
      type: run.type,
      config: run.config,
      model: inputs.model,
      baseline: inputs.baseline,
      teachers: [...inputs.teachers],
      datasets: inputs.datasets,
      output,
      checkpoints,
      cache: join(dirname(tools.folder), 'shared', run.projectId),
      seed: run.seed,
      threads: config.threads,
      native: config.native,
    };
    const limits = { stopGraceMs: config.stopGraceMs, timeoutMs: config.stageTimeoutMs };
    const result = await runInChild(start, recorder, signal, limits);
    return await patiently(logger, signal, () => keepResult(store, run, result, output, recorder.peakMemoryBytes));
  } finally {
    inputs.release();
  }
}

async function keepResult(
  store: ArtifactStore,
  run: StageRun,
  result: StageResult,
  output: string,
  peakMemoryBytes: number | null,
): Promise<AttemptOutcome> {
  const { measurements, sections, warnings } = result;
  const outputId = result.model === undefined ? null : await keepModel(store, run, output, result.model);
  return { outputId, measurements, result: { sections, warnings }, peakMemoryBytes };
}

async function keepModel(store: ArtifactStore, run: StageRun, output: string, model: string): Promise<string> {
  const folder = resolve(output, model);
  const inside = relative(output, folder);
  if (inside.startsWith('..') || isAbsolute(inside)) {
    const message = `The ${run.type} stage named a model outside its output folder.`;
    throw new ModelpressError('internal', 'runner.output', message, { file: model });
  }
  return (await store.store(run.projectId, 'output', folder)).id;
}

/** Checkpoints of an earlier attempt, from this machine or, if that ran elsewhere, from the object store. */
async function restoreCheckpoints(
  store: ArtifactStore,
  run: StageRun,
  checkpoints: string,
  signal: AbortSignal,
): Promise<void> {
  if (run.checkpointId === null || (await exists(checkpoints))) return;
  await fetchFiles(store, await store.files(run.checkpointId), checkpoints, signal);
}

async function keepCheckpoints(tools: AttemptTools, run: StageRun, folder: string): Promise<string | null> {
  const checkpoints = join(folder, 'checkpoints');
  const files = await readdir(checkpoints).catch(() => []);
  if (files.length === 0) return run.checkpointId;
  try {
    return (await tools.store.store(run.projectId, 'checkpoint', checkpoints)).id;
  } catch (error) {
    // The attempt after this one starts from further back; that is no reason to lose why this one ended.
    tools.logger.warn({ err: error, run: run.id }, 'Checkpoints could not be stored.');
    return run.checkpointId;
  }
}
