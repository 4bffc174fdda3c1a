/** @file Epochs over a batch source: schedule, evaluation, keep-best, early stop, checkpoints, resume, progress. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cancelled, invalid } from '../errors';
import { BestWeights } from './best-weights';
import { EarlyStopping } from './early-stopping';
import type { EarlyStoppingOptions, EarlyStoppingState } from './early-stopping';
import { scheduleFactor } from './schedule';
import type { ScheduleConfig } from './schedule';
import type { StepResult, Trainer, TrainingBatch } from './trainer';

/** The batches of one epoch; any of them can be made by itself, so that a run resumes where it stopped. */
export interface EpochBatches {
  readonly count: number;
  batch(index: number): TrainingBatch | Promise<TrainingBatch>;
}

/** What is trained on. The content of an epoch depends on its number alone, and every epoch has the same count. */
export interface BatchSource {
  epoch(epoch: number): EpochBatches;
}

export interface EvaluationOptions extends EarlyStoppingOptions {
  /** Steps between evaluations; default: at the end of each epoch. The last step is always evaluated. */
  readonly everySteps?: number;
  /** End with the best weights instead of the last; default true. */
  readonly keepBest?: boolean;
  /** Scores the present weights. */
  score(trainer: Trainer): Promise<number>;
}

export interface TrainLoopOptions {
  readonly source: BatchSource;
  /** How long to train. */
  readonly length: { readonly epochs: number } | { readonly steps: number };
  /** Batches whose gradients are averaged in one step; default 1. The last step of an epoch may have fewer. */
  readonly accumulate?: number;
  readonly learningRate: number;
  readonly schedule: ScheduleConfig;
  readonly evaluation?: EvaluationOptions;
  /** Folder for `last.ckpt` and `best.ckpt`. A run finds its checkpoint there and continues. */
  readonly checkpoints?: string;
  /** Seconds between checkpoints; default 120. One is also written at the end of each epoch and on cancellation. */
  readonly checkpointSeconds?: number;
  readonly signal?: AbortSignal;
  onStep?(result: StepResult): void;
  onScore?(score: number, step: number): void;
  onProgress?(progress: TrainingProgress): void;
}

export interface TrainingProgress {
  /** 0..1 */
  readonly fraction: number;
  /** e.g. `epoch 2/3` or `step 10/100` */
  readonly phase: string;
  readonly etaSeconds: number;
}

export interface TrainLoopResult {
  /** Steps done, those before a resume included. */
  readonly steps: number;
  readonly stoppedEarly: boolean;
  /** Best evaluation and its step; the trainer then holds those weights. Absent without evaluation. */
  readonly best?: { readonly score: number; readonly step: number };
}

/** Where a run stands between two steps; stored in its checkpoint. */
interface Position {
  readonly epoch: number;
  /** Next batch of the epoch. */
  readonly batch: number;
  readonly stopping: EarlyStoppingState | null;
}

/**
 * Trains until `length`, patience or the signal ends it.
 * @throws ModelpressError `train.not-finite` (the last checkpoint stays), `cancelled` (after writing a checkpoint)
 */
export async function trainLoop(trainer: Trainer, options: TrainLoopOptions): Promise<TrainLoopResult> {
  return new TrainingRun(trainer, options).run();
}

class TrainingRun {
  private readonly accumulate: number;
  private readonly stepsPerEpoch: number;
  private readonly totalSteps: number;
  private epoch = 0;
  private batch = 0;
  private stopping: EarlyStopping | undefined;
  private readonly best: BestWeights;
  private startStep = 0;
  private startedAt = 0;
  private savedAt = 0;

  constructor(
    private readonly trainer: Trainer,
    private readonly options: TrainLoopOptions,
  ) {
    this.accumulate = options.accumulate ?? 1;
    const { count } = options.source.epoch(0);
    if (count === 0) throw invalid('train.no-data', 'There is no batch to train on.');
    this.stepsPerEpoch = Math.ceil(count / this.accumulate);
    const { length } = options;
    this.totalSteps = 'steps' in length ? length.steps : length.epochs * this.stepsPerEpoch;
    if (options.evaluation) this.stopping = new EarlyStopping(options.evaluation);
    this.best = new BestWeights(trainer.slabs, this.path('best.ckpt'));
  }

  async run(): Promise<TrainLoopResult> {
    await this.resume();
    this.startStep = this.trainer.step;
    this.startedAt = this.savedAt = performance.now();
    let batches: EpochBatches | undefined;
    while (!this.isDone()) {
      await this.stopIfAborted();
      if (this.batch === 0 || !batches) batches = this.options.source.epoch(this.epoch);
      await this.runGroup(batches);
    }
    const stoppedEarly = this.trainer.step < this.totalSteps;
    const best = await this.restoreBest();
    return { steps: this.trainer.step, stoppedEarly, ...(best && { best }) };
  }

  private isDone(): boolean {
    return this.trainer.step >= this.totalSteps || (this.stopping?.exhausted ?? false);
  }

  private async stopIfAborted(): Promise<void> {
    const { signal } = this.options;
    if (!signal?.aborted) return;
    await this.save();
    throw cancelled(signal.reason);
  }

  /** One step, and what is due after it. */
  private async runGroup(batches: EpochBatches): Promise<void> {
    const end = Math.min(this.batch + this.accumulate, batches.count);
    const group: TrainingBatch[] = [];
    for (let index = this.batch; index < end; index++) group.push(await batches.batch(index));
    await this.runStep(group);
    const endOfEpoch = end === batches.count;
    if (this.isEvaluationDue(endOfEpoch)) await this.evaluate();
    this.epoch += endOfEpoch ? 1 : 0;
    this.batch = endOfEpoch ? 0 : end;
    if (endOfEpoch || this.isSaveDue()) await this.save();
  }

  private async runStep(group: readonly TrainingBatch[]): Promise<void> {
    const { options } = this;
    const { learningRate, schedule } = options;
    const step = this.trainer.step + 1;
    const result = await this.trainer.train(group, learningRate * scheduleFactor(schedule, step, this.totalSteps));
    options.onStep?.(result);
    const secondsPerStep = (performance.now() - this.startedAt) / 1000 / (step - this.startStep);
    options.onProgress?.({
      fraction: step / this.totalSteps,
      phase: this.phase(step),
      etaSeconds: secondsPerStep * (this.totalSteps - step),
    });
  }

  private phase(step: number): string {
    const { length } = this.options;
    return 'steps' in length ? `step ${step}/${length.steps}` : `epoch ${this.epoch + 1}/${length.epochs}`;
  }

  private isEvaluationDue(endOfEpoch: boolean): boolean {
    const { evaluation } = this.options;
    if (!evaluation) return false;
    const { step } = this.trainer;
    if (step === this.totalSteps) return true;
    return evaluation.everySteps === undefined ? endOfEpoch : step % evaluation.everySteps === 0;
  }

  private get keepsBest(): boolean {
    return this.options.evaluation?.keepBest !== false;
  }

  private async evaluate(): Promise<void> {
    const score = await this.options.evaluation!.score(this.trainer);
    const { step } = this.trainer;
    this.options.onScore?.(score, step);
    const isBest = this.stopping!.record(score, step);
    if (isBest && this.keepsBest) await this.best.keep();
  }

  private async restoreBest(): Promise<TrainLoopResult['best']> {
    if (this.stopping?.best === undefined || this.stopping.best === null) return undefined;
    if (this.keepsBest) await this.best.restore();
    return { score: this.stopping.best, step: this.stopping.bestStep };
  }

  private path(file: string): string | undefined {
    return this.options.checkpoints === undefined ? undefined : join(this.options.checkpoints, file);
  }

  private isSaveDue(): boolean {
    return performance.now() - this.savedAt > 1000 * (this.options.checkpointSeconds ?? 120);
  }

  private async save(): Promise<void> {
    const path = this.path('last.ckpt');
    if (path === undefined) return;
    const position: Position = { epoch: this.epoch, batch: this.batch, stopping: this.stopping?.save() ?? null };
    await this.trainer.save(path, position);
    this.savedAt = performance.now();
  }

  private async resume(): Promise<void> {
    const path = this.path('last.ckpt');
    if (path === undefined) return;
    await mkdir(this.options.checkpoints!, { recursive: true });
    if (!existsSync(path)) return;
    const position = (await this.trainer.load(path)) as Position;
    this.epoch = position.epoch;
    this.batch = position.batch;
    const { evaluation } = this.options;
    if (evaluation) this.stopping = new EarlyStopping(evaluation, position.stopping ?? undefined);
  }
}
