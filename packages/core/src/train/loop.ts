/** @file Epochs over a batch source: schedule, evaluation, keep-best, early stop, checkpoints, resume, progress. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cancelled, invalid } from '../errors';
import { BestWeights } from './best-weights';
import { Budget } from './budget';
import type { Spent, TrainingLength } from './budget';
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
  /** In place of `everySteps`: how many evaluations to spread evenly over the run. */
  readonly times?: number;
  /** End with the best weights instead of the last; default true. */
  readonly keepBest?: boolean;
  /** Scores the present weights. */
  score(trainer: Trainer): Promise<number>;
  /** Whether the present weights may become the best; default: always. */
  mayKeep?(): boolean;
}

export interface TrainLoopOptions {
  readonly source: BatchSource;
  readonly length: TrainingLength;
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

/** A figure at a point of a run. */
export interface CurvePoint extends Spent {
  readonly value: number;
}

/** What was done, that before a resume included. */
export interface TrainLoopResult extends Spent {
  readonly stoppedEarly: boolean;
  /** Loss of the training batches: every step at first, then ever fewer. */
  readonly losses: readonly CurvePoint[];
  /** Every evaluation with a finite score. */
  readonly scores: readonly CurvePoint[];
  /** Best evaluation and its step; the trainer then holds those weights. Absent without evaluation. */
  readonly best?: { readonly score: number; readonly step: number };
}

/** Where a run stands between two steps; stored in its checkpoint. */
interface Position {
  readonly epoch: number;
  /** Next batch of the epoch. */
  readonly batch: number;
  readonly stopping: EarlyStoppingState | null;
  readonly spent: Spent;
  readonly losses: readonly CurvePoint[];
  readonly scores: readonly CurvePoint[];
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
  private readonly budget: Budget;
  private spent: Spent = { steps: 0, seconds: 0, flops: 0 };
  private losses: CurvePoint[] = [];
  private scores: CurvePoint[] = [];
  private epoch = 0;
  private batch = 0;
  private stopping: EarlyStopping | undefined;
  private readonly best: BestWeights;
  private startShare = 0;
  private startedAt = 0;
  private savedAt = 0;

  constructor(
    private readonly trainer: Trainer,
    private readonly options: TrainLoopOptions,
  ) {
    this.accumulate = options.accumulate ?? 1;
    const { count } = options.source.epoch(0);
    if (count === 0) throw invalid('train.no-data', 'There is no batch to train on.');
    this.budget = new Budget(options.length, Math.ceil(count / this.accumulate));
    if (options.evaluation) this.stopping = new EarlyStopping(options.evaluation);
    this.best = new BestWeights(trainer.slabs, this.path('best.ckpt'));
  }

  async run(): Promise<TrainLoopResult> {
    await this.resume();
    this.startShare = this.budget.share(this.spent);
    this.startedAt = this.savedAt = performance.now();
    let batches: EpochBatches | undefined;
    while (!this.isDone()) {
      await this.stopIfAborted();
      if (this.batch === 0 || !batches) batches = this.options.source.epoch(this.epoch);
      await this.runGroup(batches);
    }
    const { spent, losses, scores } = this;
    const stoppedEarly = !this.isSpent();
    const best = await this.chooseWeights();
    return { ...spent, stoppedEarly, losses, scores, ...(best && { best }) };
  }

  private isDone(): boolean {
    return this.isSpent() || (this.stopping?.exhausted ?? false);
  }

  private isSpent(): boolean {
    return this.budget.share(this.spent) === 1;
  }

  private async stopIfAborted(): Promise<void> {
    const { signal } = this.options;
    if (!signal?.aborted) return;
    await this.save();
    throw cancelled(signal.reason);
  }

  /** One step, and what is due after it. */
  private async runGroup(batches: EpochBatches): Promise<void> {
    const began = performance.now();
    const before = this.spent;
    const end = Math.min(this.batch + this.accumulate, batches.count);
    const group: TrainingBatch[] = [];
    for (let index = this.batch; index < end; index++) group.push(await batches.batch(index));
    await this.runStep(group, began);
    const endOfEpoch = end === batches.count;
    if (this.isEvaluationDue(before, endOfEpoch)) await this.trainer.withAverage(() => this.evaluate());
    this.epoch += endOfEpoch ? 1 : 0;
    this.batch = endOfEpoch ? 0 : end;
    if (endOfEpoch || this.isSaveDue()) await this.save();
  }

  private async runStep(group: readonly TrainingBatch[], began: number): Promise<void> {
    const { options, budget, spent } = this;
    const { learningRate, schedule } = options;
    const factor = scheduleFactor(schedule, spent.steps + 1, budget.expectedSteps(spent));
    const result = await this.trainer.train(group, learningRate * factor);
    const now = performance.now();
    this.spent = {
      steps: result.step,
      seconds: spent.seconds + (now - began) / 1000,
      flops: spent.flops + result.flops,
    };
    if (isPlotted(result.step)) this.losses.push({ ...this.spent, value: result.loss });
    options.onStep?.(result);
    const fraction = budget.share(this.spent);
    const secondsPerShare = (now - this.startedAt) / 1000 / (fraction - this.startShare);
    const etaSeconds = secondsPerShare * (1 - fraction);
    options.onProgress?.({ fraction, phase: budget.phase(this.spent, this.epoch), etaSeconds });
  }

  private isEvaluationDue(before: Spent, endOfEpoch: boolean): boolean {
    const { evaluation } = this.options;
    if (!evaluation) return false;
    if (this.isSpent()) return true;
    const { times, everySteps } = evaluation;
    const { budget, spent } = this;
    if (times !== undefined) return Math.floor(times * budget.share(spent)) > Math.floor(times * budget.share(before));
    return everySteps === undefined ? endOfEpoch : spent.steps % everySteps === 0;
  }

  private get keepsBest(): boolean {
    return this.options.evaluation?.keepBest !== false;
  }

  private async evaluate(): Promise<void> {
    const evaluation = this.options.evaluation!;
    const score = await evaluation.score(this.trainer);
    const { step } = this.trainer;
    if (Number.isFinite(score)) this.scores.push({ ...this.spent, value: score });
    this.options.onScore?.(score, step);
    if (evaluation.mayKeep?.() === false) return;
    const isBest = this.stopping!.record(score, step);
    if (isBest && this.keepsBest) await this.best.keep();
  }

  /** Ends with the best weights, the averaged ones, or the last. */
  private async chooseWeights(): Promise<TrainLoopResult['best']> {
    const hasBest = this.stopping?.best !== undefined && this.stopping.best !== null;
    if (hasBest && this.keepsBest) await this.best.restore();
    else this.trainer.adoptAverage();
    if (!this.stopping || this.stopping.best === null) return undefined;
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
    const { epoch, batch, spent, losses, scores } = this;
    const position: Position = { epoch, batch, spent, losses, scores, stopping: this.stopping?.save() ?? null };
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
    this.spent = position.spent;
    this.losses = [...position.losses];
    this.scores = [...position.scores];
    const { evaluation } = this.options;
    if (evaluation) this.stopping = new EarlyStopping(evaluation, position.stopping ?? undefined);
  }
}

/** Every step at first, then ever fewer: some hundred points for a run of any length. */
const isPlotted = (step: number): boolean => step <= 200 || step % Math.ceil(step / 200) === 0;
