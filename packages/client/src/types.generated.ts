/** @file Made from openapi.json by `npm run openapi`. */

export type Artifact = {
  /** UUID. */
  readonly id: string;
  readonly kind: string;
  readonly digest: string;
  readonly bytes: number;
  readonly createdAt: string;
  readonly files: readonly StoredFile[];
};

export type Caller = {
  readonly project: Project;
  /** UUID. */
  readonly keyId: string;
  readonly role: "viewer" | "submitter" | "admin";
  readonly operator: boolean;
};

export type CloneJob = {
  /** Default: the recipe's name. */
  readonly name?: string;
  /** The recipe itself, or its YAML text, or the id of a saved one. */
  readonly recipe?: RecipeInput | string;
  /** The model to compress; not needed if the recipe makes its own. */
  readonly modelId?: string;
  readonly teacherIds?: readonly string[];
  readonly datasets?: {
    readonly data?: string;
    readonly unlabelled?: string;
    readonly calibration?: string;
  };
  readonly priority?: number;
  /** Told by a signed POST when the job ends. */
  readonly webhookUrl?: string;
};

export type Comparison = {
  readonly metric: string;
  readonly unit: string;
  readonly context: Readonly<Record<string, string | number | boolean>>;
  readonly baseline: number | null;
  readonly candidate: number;
  readonly better: "higher" | "lower";
};

export type CreateKey = {
  readonly name: string;
  readonly role: "viewer" | "submitter" | "admin";
};

export type CreateProject = {
  readonly name: string;
  /** Stage runs queued or running at once; null: no limit. */
  readonly maxConcurrentRuns?: number | null;
  /** Finished jobs are deleted after this many days; null: kept. */
  readonly retentionDays?: number | null;
};

export type Dataset = {
  /** UUID. */
  readonly id: string;
  readonly name: string;
  /** UUID. */
  readonly artifactId: string;
  readonly digest: string;
  readonly bytes: number;
  readonly createdAt: string;
  readonly info: DatasetInfo;
};

export type DatasetInfo = {
  readonly format: 1;
  readonly name: string;
  readonly kind: "classification" | "pair-classification" | "regression" | "generation" | "unlabelled";
  readonly labels: readonly string[];
  readonly splits: Readonly<Record<string, {
    readonly rows: number;
    readonly characters: {
      readonly p50: number;
      readonly p95: number;
      readonly max: number;
    };
    readonly labels?: Readonly<Record<string, number>>;
    readonly emptyTexts: number;
    readonly duplicates: number;
  }>>;
  readonly warnings: readonly string[];
};

export type DatasetUpload = {
  /** Name of the data set. */
  readonly name: string;
  readonly kind?: "classification" | "pair-classification" | "regression" | "generation" | "unlabelled";
  readonly format?: "auto" | "csv" | "tsv" | "jsonl" | "json" | "rasa" | "label-text" | "trec" | "parallel" | "lines";
  /** Where the parts of a row are found; worked out from the data where absent. */
  readonly mapping?: {
    /** A column by name or by place, counted from 0. */
    readonly text?: string | number;
    /** A column by name or by place, counted from 0. */
    readonly pair?: string | number;
    /** A column by name or by place, counted from 0. */
    readonly label?: string | number;
    /** A column by name or by place, counted from 0. */
    readonly target?: string | number;
    readonly delimiter?: string;
    /** Whether the first row names the columns. */
    readonly header?: boolean;
    readonly encoding?: "utf-8" | "utf-16le" | "utf-16be" | "latin1";
    readonly level?: "coarse" | "fine";
    readonly outOfScope?: boolean;
  };
  /** Shares of train to cut off. `auto`: of labelled data, 10 % as dev and 20 % as test where they are missing. */
  readonly splits?: string | {
    readonly dev?: number;
    readonly test?: number;
  };
  readonly seed?: number;
  /** Only files whose name contains this. */
  readonly select?: string;
  /** Expected digests by file name; checked if given. */
  readonly sha256?: Readonly<Record<string, string>>;
};

export type DryRun = {
  readonly variants: readonly ({
    /** Swept values by path; empty without a sweep. */
    readonly values: Readonly<Record<string, unknown>>;
    readonly stages: readonly ({
      readonly stage: string;
      readonly type: string;
      readonly queue: "prune" | "distill" | "quant" | "bench";
      readonly config: unknown;
      /** State of an equal stage run that the job would share. */
      readonly existing: "queued" | "running" | "paused" | "succeeded" | "failed" | "cancelled" | null;
      /** Expected effect relative to the stage's input model. */
      readonly estimate: {
        readonly parameters?: number;
        readonly bytes?: number;
        readonly flops?: number;
        readonly seconds?: number;
        readonly notes: readonly string[];
      };
      /** All effects up to this stage, relative to the job's model. */
      readonly total: {
        readonly parameters?: number;
        readonly bytes?: number;
        readonly flops?: number;
      };
    })[];
  })[];
  readonly warnings: readonly string[];
};

export type Environment = {
  readonly cpu: string;
  readonly cores: number;
  readonly cpuFlags: readonly string[];
  readonly memoryBytes: number;
  readonly os: string;
  readonly node: string;
  readonly runtime: string;
  readonly device: string;
  readonly threads: number;
};

export type Event = {
  readonly id: number;
  readonly kind: "job.created" | "job.state" | "job.deleted" | "run.state" | "run.progress" | "run.metrics";
  readonly jobId: string | null;
  readonly runId: string | null;
  readonly data: Readonly<Record<string, unknown>>;
  readonly time: string;
};

export type GoalResult = {
  readonly goal: "maxDrop" | "minSpeedup" | "maxBytes" | "maxLatencyMs";
  readonly label: string;
  readonly unit: string;
  readonly limit: number;
  readonly actual: number | null;
  readonly passed: boolean;
  readonly margin: number | null;
  readonly reason?: string;
};

export type Health = {
  readonly status: "ok";
};

export type ImportedModel = {
  /** UUID. */
  readonly id: string;
  readonly name: string;
  /** UUID. */
  readonly artifactId: string;
  readonly digest: string;
  readonly bytes: number;
  readonly createdAt: string;
  readonly manifest: Manifest;
  readonly warnings: readonly string[];
};

export type Job = {
  /** UUID. */
  readonly id: string;
  readonly name: string;
  readonly state: "queued" | "running" | "paused" | "succeeded" | "failed" | "cancelled";
  readonly error: StageError | null;
  readonly modelId: string | null;
  /** Further models that teach. */
  readonly teacherIds: readonly string[];
  /** Data sets by role. */
  readonly datasets: {
    /** UUID. */
    readonly data?: string;
    /** UUID. */
    readonly unlabelled?: string;
    /** UUID. */
    readonly calibration?: string;
  };
  readonly priority: number;
  readonly clonedFrom: string | null;
  readonly webhookUrl: string | null;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
};

export type JobComparison = {
  readonly jobs: readonly ({
    /** UUID. */
    readonly id: string;
    readonly name: string;
  })[];
  readonly rows: readonly ({
    /** UUID. */
    readonly jobId: string;
    readonly variant: number;
    readonly values: Readonly<Record<string, unknown>>;
    readonly figures: Readonly<Record<string, number>>;
    /** No other row is at least as good in quality, bytes and latency, and better in one. */
    readonly pareto: boolean;
  })[];
};

export type JobDetail = {
  /** UUID. */
  readonly id: string;
  readonly name: string;
  readonly state: "queued" | "running" | "paused" | "succeeded" | "failed" | "cancelled";
  readonly error: StageError | null;
  readonly modelId: string | null;
  /** Further models that teach. */
  readonly teacherIds: readonly string[];
  /** Data sets by role. */
  readonly datasets: {
    /** UUID. */
    readonly data?: string;
    /** UUID. */
    readonly unlabelled?: string;
    /** UUID. */
    readonly calibration?: string;
  };
  readonly priority: number;
  readonly clonedFrom: string | null;
  readonly webhookUrl: string | null;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly recipe: Recipe;
  readonly variants: readonly (Readonly<Record<string, unknown>>)[];
  readonly stages: readonly ({
    readonly variant: number;
    readonly stage: string;
    readonly type: string;
    /** UUID. */
    readonly runId: string;
    readonly reused: boolean;
    readonly state: "queued" | "running" | "paused" | "succeeded" | "failed" | "cancelled";
    readonly waitingFor: "stage" | "project-limit" | "worker" | "retry-delay" | null;
    readonly progress: {
      /** 0 to 1. */
      readonly fraction: number;
      readonly phase: string;
      readonly etaSeconds?: number;
    } | null;
    readonly attempts: number;
    readonly error: StageError | null;
    readonly startedAt: string | null;
    readonly finishedAt: string | null;
  })[];
  readonly progress: number;
};

export type JobReport = {
  /** UUID. */
  readonly jobId: string;
  readonly goalsReached: boolean;
  readonly variants: readonly ({
    readonly variant: number;
    readonly values: Readonly<Record<string, unknown>>;
    readonly report: Report;
  })[];
};

export type Key = {
  /** UUID. */
  readonly id: string;
  readonly name: string;
  readonly role: "viewer" | "submitter" | "admin";
  /** First characters of the key, to tell keys apart. */
  readonly prefix: string;
  readonly createdAt: string;
  readonly lastUsedAt: string | null;
  readonly revokedAt: string | null;
};

export type LogLine = {
  readonly id: number;
  readonly attempt: number;
  readonly time: string;
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
};

export type Manifest = {
  readonly format: 1;
  readonly name: string;
  readonly architecture: "bert" | "roberta" | "distilbert" | "gpt2" | "textcnn" | "bilstm" | "dan" | "foreign";
  readonly task: "classification" | "pair-classification" | "regression" | "masked-lm" | "causal-lm" | "embedding";
  readonly inputs: readonly string[];
  readonly output: string;
  readonly maxLength: number;
  readonly tokenizer?: {
    readonly kind: "wordpiece" | "byte-bpe" | "word" | "ngram";
    readonly padId: number;
  };
  readonly components: readonly ({
    readonly component: "W_Q" | "W_K" | "W_V" | "W_AO" | "W_I" | "W_O" | "W_P" | "embeddings" | "classifier";
    readonly layer?: number;
    readonly weight: string;
    readonly transposed?: boolean;
    readonly bias?: string;
    readonly factor?: "first" | "second";
  })[];
  readonly codebooks?: readonly ({
    readonly component: "W_Q" | "W_K" | "W_V" | "W_AO" | "W_I" | "W_O" | "W_P" | "embeddings" | "classifier";
    readonly layer?: number;
    readonly weight: string;
    readonly transposed?: boolean;
    readonly bias?: string;
    readonly factor?: "first" | "second";
    readonly dims: readonly [number, number];
    readonly bits: number;
    readonly centroids: string;
    readonly codes: string;
  })[];
  readonly structure?: {
    readonly hidden: number;
    readonly layers: readonly ({
      readonly heads: number;
      readonly queryDims: readonly number[];
      readonly valueDims: readonly number[];
      readonly ffn: number;
      readonly attentionOutputs?: readonly number[];
      readonly ffnOutputs?: readonly number[];
    })[];
    readonly vocabulary: number;
    readonly positions: number;
  };
  readonly native?: {
    readonly file: "native.onnx";
    readonly pack: 1;
    readonly forms: Readonly<Record<string, number>>;
  };
  readonly parameters: {
    readonly total: number;
    readonly embeddings: number;
  };
  readonly sparsity: Readonly<Record<string, number>>;
  readonly config: Readonly<Record<string, unknown>>;
  readonly provenance: readonly ({
    readonly step: string;
    readonly detail: Readonly<Record<string, unknown>>;
  })[];
};

export type Measurement = {
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
  readonly subject: "candidate" | "baseline" | "comparison";
  readonly context: Readonly<Record<string, string | number | boolean>>;
  readonly interval?: readonly [number, number];
  readonly environment?: Environment;
};

export type Metrics = readonly ({
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
})[];

export type Model = {
  /** UUID. */
  readonly id: string;
  readonly name: string;
  /** UUID. */
  readonly artifactId: string;
  readonly digest: string;
  readonly bytes: number;
  readonly createdAt: string;
  readonly manifest: Manifest;
};

export type ModelFromRun = {
  readonly name: string;
  readonly runId: string;
};

export type ModelUpload = {
  /** Name of the model. */
  readonly name: string;
  /** Default: what the checkpoint was saved for. */
  readonly task?: "classification" | "pair-classification" | "regression" | "masked-lm" | "causal-lm" | "embedding";
  /** Label names in class order. */
  readonly labels?: readonly string[];
  /** Expected digests by file name; checked if given. */
  readonly sha256?: Readonly<Record<string, string>>;
};

export type NewKey = {
  /** UUID. */
  readonly id: string;
  readonly name: string;
  readonly role: "viewer" | "submitter" | "admin";
  /** First characters of the key, to tell keys apart. */
  readonly prefix: string;
  readonly createdAt: string;
  readonly lastUsedAt: string | null;
  readonly revokedAt: string | null;
  /** The key itself. It is shown once. */
  readonly secret: string;
};

export type Problem = {
  /** `urn:modelpress:` and the code. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  /** Stable name of the exact reason. */
  readonly code: string;
  /** What is wrong, for people. */
  readonly detail: string;
  readonly requestId: string;
  /** Every wrong field, where the request was checked as a whole. */
  readonly errors: readonly ({
    readonly field: string;
    readonly code: string;
    readonly message: string;
    readonly line?: number;
  })[];
  /** Where it lies: field, file, line, node, op. */
  readonly details: Readonly<Record<string, unknown>>;
};

export type Project = {
  /** UUID. */
  readonly id: string;
  readonly name: string;
  readonly maxConcurrentRuns: number | null;
  readonly retentionDays: number | null;
  readonly createdAt: string;
};

export type Queue = {
  readonly queues: readonly ({
    readonly queue: "prune" | "distill" | "quant" | "bench";
    readonly waiting: number;
    readonly running: number;
    readonly workers: number;
  })[];
  readonly workers: readonly ({
    /** UUID. */
    readonly id: string;
    readonly name: string;
    readonly host: string;
    readonly queue: "prune" | "distill" | "quant" | "bench";
    readonly lanes: readonly ("cpu" | "gpu")[];
    readonly slots: number;
    readonly cores: number;
    readonly memoryBytes: number;
    readonly usedMemoryBytes: number;
    readonly startedAt: string;
    readonly seenAt: string;
    readonly runs: number;
  })[];
};

export type Readiness = {
  readonly ready: boolean;
  readonly checks: {
    readonly database: {
      readonly ok: boolean;
      readonly message: string;
    };
    readonly queue: {
      readonly ok: boolean;
      readonly message: string;
    };
    readonly objects: {
      readonly ok: boolean;
      readonly message: string;
    };
  };
};

export type Recipe = {
  readonly name: string;
  readonly description?: string;
  readonly seed: number;
  readonly stages: readonly ({
    /** Name of the stage in this recipe; default: its type, numbered if repeated. */
    readonly id?: string;
    /** Stage type; GET /v1/stages lists them. */
    readonly type: string;
    /** Stage whose model this one reads; default: the last one before it that makes a model, else the job model. `model`: the job model. */
    readonly from?: string;
    /** The stage's own settings. */
    readonly config: Readonly<Record<string, unknown>>;
    /** Overrides the recipe's seed. */
    readonly seed?: number;
  })[];
  /** Stage whose model the later ones are compared with, e.g. `finetune` where the job model does not know the task yet; default: the job model. */
  readonly baseline?: string;
  /** Grids by path, e.g. { "prune.config.target": [0.4, 0.6] }: one job variant per combination. */
  readonly sweep?: Readonly<Record<string, readonly unknown[]>>;
  readonly goals?: {
    /** Largest allowed loss of a metric against the original model. */
    readonly maxDrop?: {
      /** A figure of the evaluate stage: accuracy, macroF1, perplexity ... */
      readonly metric: string;
      /** In the unit of the metric: of accuracy, 0.01 is one point. */
      readonly absolute?: number;
      /** As a share of the original's figure. */
      readonly relative?: number;
    };
    /** Smallest allowed ratio of p50 latency, original over result, mean over the benchmark. */
    readonly minSpeedup?: number;
    /** Largest size of the model on disk. */
    readonly maxBytes?: number;
    /** Largest p50 latency at one shape; at every thread count that the benchmark measures. */
    readonly maxLatencyMs?: {
      /** Milliseconds of one batch. */
      readonly value: number;
      /** Rows fed at once; one of the benchmark stage’s. */
      readonly batch: number;
      /** Tokens of each row; one of the benchmark stage’s. */
      readonly sequence: number;
    };
  };
};

export type RecipeInput = {
  readonly name: string;
  readonly description?: string;
  readonly seed?: number;
  readonly stages: readonly ({
    /** Name of the stage in this recipe; default: its type, numbered if repeated. */
    readonly id?: string;
    /** Stage type; GET /v1/stages lists them. */
    readonly type: string;
    /** Stage whose model this one reads; default: the last one before it that makes a model, else the job model. `model`: the job model. */
    readonly from?: string;
    /** The stage's own settings. */
    readonly config?: Readonly<Record<string, unknown>>;
    /** Overrides the recipe's seed. */
    readonly seed?: number;
  })[];
  /** Stage whose model the later ones are compared with, e.g. `finetune` where the job model does not know the task yet; default: the job model. */
  readonly baseline?: string;
  /** Grids by path, e.g. { "prune.config.target": [0.4, 0.6] }: one job variant per combination. */
  readonly sweep?: Readonly<Record<string, readonly unknown[]>>;
  readonly goals?: {
    /** Largest allowed loss of a metric against the original model. */
    readonly maxDrop?: {
      /** A figure of the evaluate stage: accuracy, macroF1, perplexity ... */
      readonly metric?: string;
      /** In the unit of the metric: of accuracy, 0.01 is one point. */
      readonly absolute?: number;
      /** As a share of the original's figure. */
      readonly relative?: number;
    };
    /** Smallest allowed ratio of p50 latency, original over result, mean over the benchmark. */
    readonly minSpeedup?: number;
    /** Largest size of the model on disk. */
    readonly maxBytes?: number;
    /** Largest p50 latency at one shape; at every thread count that the benchmark measures. */
    readonly maxLatencyMs?: {
      /** Milliseconds of one batch. */
      readonly value: number;
      /** Rows fed at once; one of the benchmark stage’s. */
      readonly batch?: number;
      /** Tokens of each row; one of the benchmark stage’s. */
      readonly sequence?: number;
    };
  };
};

export type Report = {
  readonly format: 1;
  readonly job: {
    readonly id: string;
    readonly name: string;
    readonly state: "queued" | "running" | "paused" | "succeeded" | "failed" | "cancelled";
    readonly createdAt: string;
    readonly startedAt?: string;
    readonly finishedAt?: string;
  };
  readonly model?: {
    readonly name: string;
    readonly architecture: string;
    readonly parameters: number;
  };
  readonly datasets: readonly ({
    readonly role: string;
    readonly name: string;
    readonly rows: Readonly<Record<string, number>>;
  })[];
  readonly recipe: Recipe;
  readonly stages: readonly ReportStage[];
  readonly result?: string;
  readonly comparisons: readonly Comparison[];
  readonly goals: readonly GoalResult[];
  readonly warnings: readonly string[];
};

export type ReportSection = {
  readonly kind: "text";
  readonly title: string;
  readonly text: string;
} | {
  readonly kind: "table";
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number | null)[])[];
  readonly note?: string;
} | {
  readonly kind: "curve";
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly ({
    readonly name: string;
    readonly points: readonly (readonly [number, number])[];
  })[];
  readonly marks: readonly ({
    readonly x: number;
    readonly label: string;
  })[];
} | {
  readonly kind: "heatmap";
  readonly title: string;
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly values: readonly (readonly (number | null)[])[];
  readonly unit: string;
};

export type ReportStage = {
  readonly id: string;
  readonly type: string;
  readonly from?: string;
  readonly makesModel: boolean;
  readonly state: "queued" | "running" | "paused" | "succeeded" | "failed" | "cancelled";
  readonly seconds?: number;
  readonly attempts: number;
  readonly reused: boolean;
  readonly config: Readonly<Record<string, unknown>>;
  readonly measurements: readonly Measurement[];
  readonly sections: readonly ReportSection[];
  readonly warnings: readonly string[];
  readonly error?: string;
};

export type SavedRecipe = {
  /** UUID. */
  readonly id: string;
  readonly name: string;
  readonly document: Recipe;
  readonly createdAt: string;
  readonly updatedAt: string;
};

export type StageError = {
  readonly kind: string;
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
};

export type StageRun = {
  /** UUID. */
  readonly id: string;
  /** Digest of everything that decides the result; equal keys run once. */
  readonly key: string;
  readonly type: string;
  readonly version: number;
  readonly queue: "prune" | "distill" | "quant" | "bench";
  readonly lane: "cpu" | "gpu";
  readonly config: Readonly<Record<string, unknown>>;
  readonly seed: number;
  readonly upstreamId: string | null;
  readonly state: "queued" | "running" | "paused" | "succeeded" | "failed" | "cancelled";
  readonly waiting: {
    readonly reason: "stage" | "project-limit" | "worker" | "retry-delay" | "no-worker";
    readonly message: string;
    readonly position?: number;
    readonly until?: string;
  } | null;
  readonly error: StageError | null;
  readonly priority: number;
  readonly progress: {
    /** 0 to 1. */
    readonly fraction: number;
    readonly phase: string;
    readonly etaSeconds?: number;
  } | null;
  /** Artifact of the model that it made. */
  readonly outputId: string | null;
  readonly result: {
    readonly sections: readonly ReportSection[];
    readonly warnings: readonly string[];
  } | null;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
};

export type StageRunDetail = {
  /** UUID. */
  readonly id: string;
  /** Digest of everything that decides the result; equal keys run once. */
  readonly key: string;
  readonly type: string;
  readonly version: number;
  readonly queue: "prune" | "distill" | "quant" | "bench";
  readonly lane: "cpu" | "gpu";
  readonly config: Readonly<Record<string, unknown>>;
  readonly seed: number;
  readonly upstreamId: string | null;
  readonly state: "queued" | "running" | "paused" | "succeeded" | "failed" | "cancelled";
  readonly waiting: {
    readonly reason: "stage" | "project-limit" | "worker" | "retry-delay" | "no-worker";
    readonly message: string;
    readonly position?: number;
    readonly until?: string;
  } | null;
  readonly error: StageError | null;
  readonly priority: number;
  readonly progress: {
    /** 0 to 1. */
    readonly fraction: number;
    readonly phase: string;
    readonly etaSeconds?: number;
  } | null;
  /** Artifact of the model that it made. */
  readonly outputId: string | null;
  readonly result: {
    readonly sections: readonly ReportSection[];
    readonly warnings: readonly string[];
  } | null;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly attempts: readonly ({
    readonly number: number;
    readonly state: "running" | "succeeded" | "failed" | "cancelled" | "lost" | "stopped";
    /** UUID. */
    readonly workerId: string;
    readonly error: StageError | null;
    readonly startedAt: string;
    readonly finishedAt: string | null;
    readonly peakMemoryBytes: number | null;
  })[];
  readonly measurements: readonly Measurement[];
  readonly jobs: readonly string[];
};

export type StageType = {
  readonly type: string;
  readonly version: number;
  readonly queue: "prune" | "distill" | "quant" | "bench";
  readonly summary: string;
  readonly needs: {
    readonly model: boolean | "optional";
    /** Is measured against the original model, if the job has one. */
    readonly baseline: boolean;
    /** Learns from the further teachers of the job, if it has any. */
    readonly teachers: boolean;
    readonly datasets: readonly string[];
    readonly optionalDatasets: readonly string[];
  };
  readonly makesModel: boolean;
  /** JSON Schema (2020-12) of the stage's config. */
  readonly schema: Readonly<Record<string, unknown>>;
};

export type StoredFile = {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
};

export type SubmitJob = {
  /** Default: the recipe's name. */
  readonly name?: string;
  /** The recipe itself, or its YAML text, or the id of a saved one. */
  readonly recipe: RecipeInput | string;
  /** The model to compress; not needed if the recipe makes its own. */
  readonly modelId?: string;
  /** Further models that teach beside the model: `distill` mixes their logits. */
  readonly teacherIds?: readonly string[];
  /** Data sets by role; most stages read `data`. */
  readonly datasets?: {
    readonly data?: string;
    readonly unlabelled?: string;
    readonly calibration?: string;
  };
  /** 0 to 9, higher runs sooner. */
  readonly priority?: number;
  /** Told by a signed POST when the job ends. */
  readonly webhookUrl?: string;
};

export type UpdateProject = {
  readonly name?: string;
  /** Stage runs queued or running at once; null: no limit. */
  readonly maxConcurrentRuns?: number | null;
  /** Finished jobs are deleted after this many days; null: kept. */
  readonly retentionDays?: number | null;
};
