/** @file The configuration of a process. Nothing else reads the environment. */
import { join, resolve } from 'node:path';
import { throwIfIssues, zodFieldIssues, type FieldIssue, type QueueName } from '@modelpress/core';
import type { Lane } from '../database/entities';
import { environmentSchema, type Environment } from './variables';

export interface Config {
  /** Folder for everything that is kept on this machine. */
  readonly home: string;
  readonly database: { readonly url: string; readonly poolSize: number };
  readonly queue: { readonly driver: 'postgres' } | { readonly driver: 'redis'; readonly url: string };
  readonly objects: { readonly driver: 'folder'; readonly folder: string } | ({ readonly driver: 's3' } & S3Config);
  readonly api: {
    readonly host: string;
    readonly port: number;
    readonly bootstrapKey: string | undefined;
    readonly maxUploadBytes: number;
    readonly corsOrigins: readonly string[];
    /** Requests a second and key. */
    readonly rateLimit: number;
  };
  readonly webhooks: { readonly secret: string | undefined };
  readonly logLevel: Environment['MODELPRESS_LOG_LEVEL'];
  readonly attempts: { readonly max: number; readonly delayMs: number };
  readonly worker: WorkerConfig;
}

export interface S3Config {
  readonly bucket: string;
  readonly endpoint: string | undefined;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  readonly pathStyle: boolean;
}

export interface WorkerConfig {
  readonly slots: number;
  readonly lanes: readonly Lane[];
  readonly threads: number;
  readonly native: 'auto' | 'off';
  readonly memoryBytes: number;
  readonly cacheBytes: number;
  readonly stopGraceMs: number;
  readonly stageTimeoutMs: number;
  readonly metricsPort: number | undefined;
}

/** Where a worker of this queue keeps caches and checkpoints. */
export const workFolder = (config: Config, queue: QueueName): string => join(config.home, 'work', queue);

/**
 * Reads the environment once.
 * @throws ModelpressError `config.invalid` that names every wrong variable.
 */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  // An empty variable is one that is not set: compose files write `NAME: ${NAME:-}`.
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const parsed = environmentSchema.safeParse(given);
  const issues = parsed.success ? dependentIssues(parsed.data) : zodFieldIssues(parsed.error);
  throwIfIssues('config.invalid', issues);
  if (!parsed.success) throw parsed.error;
  return deepFreeze(toConfig(parsed.data));
}

/** Variables that others make necessary. */
function dependentIssues(environment: Environment): FieldIssue[] {
  const required: [boolean, keyof Environment, string][] = [
    [environment.MODELPRESS_QUEUE === 'redis', 'MODELPRESS_REDIS_URL', 'MODELPRESS_QUEUE is redis'],
    [environment.MODELPRESS_OBJECTS === 's3', 'MODELPRESS_S3_BUCKET', 'MODELPRESS_OBJECTS is s3'],
    [
      environment.MODELPRESS_S3_ACCESS_KEY_ID !== undefined,
      'MODELPRESS_S3_SECRET_ACCESS_KEY',
      'MODELPRESS_S3_ACCESS_KEY_ID is set',
    ],
  ];
  return required
    .filter(([needed, name]) => needed && environment[name] === undefined)
    .map(([, field, reason]) => ({ field, code: 'required', message: `Needed because ${reason}.` }));
}

function toConfig(environment: Environment): Config {
  const home = resolve(environment.MODELPRESS_HOME);
  return {
    home,
    database: { url: environment.MODELPRESS_DATABASE_URL, poolSize: environment.MODELPRESS_DATABASE_POOL },
    queue:
      environment.MODELPRESS_QUEUE === 'redis'
        ? { driver: 'redis', url: environment.MODELPRESS_REDIS_URL ?? '' }
        : { driver: 'postgres' },
    objects:
      environment.MODELPRESS_OBJECTS === 's3'
        ? { driver: 's3', ...toS3(environment) }
        : { driver: 'folder', folder: resolve(environment.MODELPRESS_OBJECTS_FOLDER ?? join(home, 'objects')) },
    api: {
      host: environment.MODELPRESS_HOST,
      port: environment.MODELPRESS_PORT,
      bootstrapKey: environment.MODELPRESS_API_KEY,
      maxUploadBytes: environment.MODELPRESS_MAX_UPLOAD_BYTES,
      corsOrigins: environment.MODELPRESS_CORS_ORIGINS,
      rateLimit: environment.MODELPRESS_RATE_LIMIT,
    },
    webhooks: { secret: environment.MODELPRESS_WEBHOOK_SECRET },
    logLevel: environment.MODELPRESS_LOG_LEVEL,
    attempts: { max: environment.MODELPRESS_MAX_ATTEMPTS, delayMs: environment.MODELPRESS_RETRY_DELAY_MS },
    worker: {
      slots: environment.MODELPRESS_WORKER_SLOTS,
      lanes: environment.MODELPRESS_WORKER_LANES,
      threads: environment.MODELPRESS_WORKER_THREADS,
      native: environment.MODELPRESS_NATIVE,
      memoryBytes: environment.MODELPRESS_WORKER_MEMORY_BYTES,
      cacheBytes: environment.MODELPRESS_CACHE_BYTES,
      stopGraceMs: environment.MODELPRESS_STOP_GRACE_MS,
      stageTimeoutMs: environment.MODELPRESS_STAGE_TIMEOUT_S * 1000,
      metricsPort: environment.MODELPRESS_METRICS_PORT,
    },
  };
}

function toS3(environment: Environment): S3Config {
  const { MODELPRESS_S3_ACCESS_KEY_ID: accessKeyId, MODELPRESS_S3_SECRET_ACCESS_KEY: secretAccessKey } = environment;
  return {
    bucket: environment.MODELPRESS_S3_BUCKET ?? '',
    endpoint: environment.MODELPRESS_S3_ENDPOINT,
    region: environment.MODELPRESS_S3_REGION,
    credentials:
      accessKeyId === undefined || secretAccessKey === undefined ? undefined : { accessKeyId, secretAccessKey },
    pathStyle: environment.MODELPRESS_S3_PATH_STYLE,
  };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner);
    Object.freeze(value);
  }
  return value;
}
