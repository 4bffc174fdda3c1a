/** @file What a stage type is: a schema, a check, an estimate and a run. One file per type stands beside this one. */
import type { z } from 'zod';
import type { Manifest } from '../bundle/manifest';
import type { MaxDrop } from '../recipe/recipe';
import type { Measurement, ReportSection } from '../report/measurement';
import type { DatasetInfo } from '../text/dataset';

/** Queues; one worker app serves each. */
export const QUEUES = ['prune', 'distill', 'quant', 'bench'] as const;
export type QueueName = (typeof QUEUES)[number];

/** A named role for a data set in a job: most stages read `data`. */
export type DatasetRole = 'data' | 'unlabelled' | 'calibration';

/** A problem found before anything is queued. */
export interface Issue {
  /** Path inside the stage's config, e.g. `target`; empty for the stage as a whole. */
  readonly path: string;
  readonly code: string;
  readonly message: string;
}

/** What is known of a stage's inputs before it runs. `model` is absent when an earlier stage will make it. */
export interface StagePreview {
  readonly model?: Manifest;
  readonly datasets: Partial<Record<DatasetRole, DatasetInfo>>;
  /** Further models that teach, in the order of the job. */
  readonly teachers?: readonly Manifest[];
}

/** Expected effect, for dry runs. Relative to the stage's input model. */
export interface Estimate {
  readonly parameters?: number;
  readonly bytes?: number;
  /** FLOPs of one forward pass at batch 1, sequence 128. */
  readonly flops?: number;
  readonly seconds?: number;
  readonly notes: readonly string[];
}

export interface Progress {
  /** 0..1 over the whole stage. */
  readonly fraction: number;
  /** Current part, e.g. `epoch 2/3`. */
  readonly phase: string;
  /** Seconds left, once it can be told. */
  readonly etaSeconds?: number;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** What a running stage is given. Everything outside its folders and memory goes through here. */
export interface StageContext {
  /** Bundle folder of the input model; absent for stages that start from nothing. Read only. */
  readonly model: string | undefined;
  /** Bundle folder of the job's original model, which comparisons refer to. Read only. */
  readonly baseline: string | undefined;
  /** Bundle folders of the job's further teachers, for stages that learn from a model. Read only. */
  readonly teachers?: readonly string[];
  /** Data set folders by role. Read only. */
  readonly datasets: Partial<Record<DatasetRole, string>>;
  /** Empty folder for outputs. */
  readonly output: string;
  /** Folder kept between attempts of the same stage run: checkpoints live here. */
  readonly checkpoints: string;
  /** Folder that the project's stage runs on this machine share; absent where there is none. Anything in it may vanish. */
  readonly cache?: string;
  readonly seed: number;
  readonly threads: number;
  readonly signal: AbortSignal;
  progress(progress: Progress): void;
  log(level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** A point of a curve, streamed while running (loss by step, accuracy by epoch). */
  metric(name: string, step: number, value: number): void;
}

export interface StageResult {
  /** Folder of the bundle that this stage made, as a path inside `output`; absent for stages that only measure. */
  readonly model?: string;
  readonly measurements: readonly Measurement[];
  readonly sections: readonly ReportSection[];
  /** What a user should know although the stage succeeded. */
  readonly warnings: readonly string[];
}

/** What a stage finds out about the model that it reads, or makes, as far as goals need it. */
export interface Measures {
  /** Figures of the task, beside those of the original model. */
  readonly quality?: boolean;
  /** Size on disk. */
  readonly bytes?: boolean;
  /** Latency at every pair of these, beside that of the original model. */
  readonly latency?: { readonly batches: readonly number[]; readonly sequences: readonly number[] };
  /** Loss that the stage's own settings let it cause, and the path of the setting. */
  readonly mayLose?: { readonly path: string; readonly maxDrop: MaxDrop };
}

/** What a stage does with a quantized model: hand it on so, make a float model of its own, or refuse it, saying what to do. */
export type OnQuantized = 'reads' | 'replaces' | { readonly refuses: string };

export interface StageDefinition<Config = unknown> {
  readonly type: string;
  /** Raised whenever the same config could give another result; part of a stage run's key. */
  readonly version: number;
  readonly queue: QueueName;
  /** One sentence for `GET /v1/stages` and the CLI. */
  readonly summary: string;
  /** Strict (unknown keys are errors), with defaults and a `.describe()` on every field. */
  readonly schema: z.ZodType<Config>;
  readonly needs: {
    /** `optional`: it reads one where there is one, and can also start from nothing. */
    readonly model: boolean | 'optional';
    /** Also gets the job's original model, if the job has one, and is measured against it. */
    readonly baseline?: boolean;
    /** Also gets the job's further teachers. */
    readonly teachers?: boolean;
    readonly datasets: readonly DatasetRole[];
    /** Also given, and part of the stage run's key, where the job has them. */
    readonly optionalDatasets?: readonly DatasetRole[];
  };
  /** Whether the stage's result has a model that the next stage reads. */
  readonly makesModel: boolean;
  /** Checked along a recipe even where nothing else is known of the model. Default `reads`. */
  onQuantized?(config: Config): OnQuantized;
  check?(config: Config, preview: StagePreview): readonly Issue[];
  /** What is known of the model that it will make from this one, for the checks of later stages. */
  outcome?(config: Config, model: Manifest, datasets: StagePreview['datasets']): Manifest | undefined;
  estimate?(config: Config, preview: StagePreview): Estimate;
  /** Default: nothing that a goal could be judged by. */
  measures?(config: Config): Measures;
  /** Which workers of the queue may take it; default cpu. */
  lane?(config: Config): 'cpu' | 'gpu';
  run(config: Config, context: StageContext): Promise<StageResult>;
}
