/** @file Every environment variable, once: its check, its default, its sentence. docs/configuration.md is made from it. */
import { availableParallelism, totalmem } from 'node:os';
import { z } from 'zod';

const count = z.coerce.number().int().min(1);
const milliseconds = z.coerce.number().int().min(0);
const secret = z.string().min(1);
const url = (...protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    message: `must be a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
  });
const flag = z.enum(['true', 'false']).transform((text) => text === 'true');
const lanes = z
  .string()
  .transform((text) => text.split(',').map((lane) => lane.trim()))
  .pipe(z.array(z.enum(['cpu', 'gpu'])).min(1));

const origins = z
  .string()
  .transform((text) => text.split(',').map((origin) => origin.trim()))
  .pipe(z.array(z.url({ protocol: /^https?$/ })));

export const environmentSchema = z.object({
  MODELPRESS_HOME: z
    .string()
    .min(1)
    .default('.modelpress')
    .describe('Folder for everything that is kept on this machine.'),
  MODELPRESS_DATABASE_URL: url('postgres:', 'postgresql:').describe(
    'PostgreSQL database. `modelpress up` starts an embedded one and sets this.',
  ),
  MODELPRESS_DATABASE_POOL: count.default(10).describe('Connections that one process opens at most.'),
  MODELPRESS_QUEUE: z
    .enum(['postgres', 'redis'])
    .default('postgres')
    .describe('Where the queue lives. `postgres` uses the database; `redis` is faster with many workers.'),
  MODELPRESS_REDIS_URL: url('redis:', 'rediss:').optional().describe('Redis server, for `MODELPRESS_QUEUE=redis`.'),
  MODELPRESS_OBJECTS: z
    .enum(['folder', 's3'])
    .default('folder')
    .describe('Where models and data sets are kept. A folder must be shared by all processes.'),
  MODELPRESS_OBJECTS_FOLDER: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of objects; default `objects` in MODELPRESS_HOME.'),
  MODELPRESS_S3_BUCKET: z.string().min(1).optional().describe('Bucket, for `MODELPRESS_OBJECTS=s3`.'),
  MODELPRESS_S3_ENDPOINT: url('http:', 'https:').optional().describe('S3 server other than Amazon.'),
  MODELPRESS_S3_REGION: z.string().min(1).default('us-east-1').describe('S3 region.'),
  MODELPRESS_S3_ACCESS_KEY_ID: secret
    .optional()
    .describe("S3 credentials; default: the AWS SDK's own search (profile, instance role)."),
  MODELPRESS_S3_SECRET_ACCESS_KEY: secret.optional().describe('S3 credentials.'),
  MODELPRESS_S3_PATH_STYLE: flag
    .default(false)
    .describe('Put the bucket into the path, as most S3 servers other than Amazon need.'),
  MODELPRESS_HOST: z.string().min(1).default('127.0.0.1').describe('Address the API listens on.'),
  MODELPRESS_PORT: z.coerce.number().int().min(0).max(65_535).default(7077).describe('Port the API listens on.'),
  MODELPRESS_METRICS_PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65_535)
    .optional()
    .describe('Port on which a worker serves its metrics; default: none.'),
  MODELPRESS_API_KEY: secret
    .optional()
    .describe('Admin key of the project `default`, made at start if missing. Other keys are made through the API.'),
  MODELPRESS_WEBHOOK_SECRET: secret
    .optional()
    .describe('Signs webhooks (HMAC-SHA256). Without it jobs cannot have webhooks.'),
  MODELPRESS_MAX_UPLOAD_BYTES: count.default(8 * 1024 ** 3).describe('Largest upload.'),
  MODELPRESS_CORS_ORIGINS: origins
    .default([])
    .describe('Origins that browsers may call the API from, separated by commas; default: none.'),
  MODELPRESS_RATE_LIMIT: count
    .default(100)
    .describe('Requests a second that the API takes from one key; three times as many may come at once.'),
  MODELPRESS_LOG_LEVEL: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('Least important lines that are logged.'),
  MODELPRESS_MAX_ATTEMPTS: count
    .default(3)
    .describe('Times a stage run is tried when it fails in a way that may pass.'),
  MODELPRESS_RETRY_DELAY_MS: milliseconds
    .default(5000)
    .describe('Pause before the second attempt; doubles with each one.'),
  MODELPRESS_STAGE_TIMEOUT_S: count.default(24 * 3600).describe('Longest time one attempt of a stage may run.'),
  MODELPRESS_STOP_GRACE_MS: milliseconds
    .default(10_000)
    .describe('Time a stage has to end by itself before it is killed.'),
  MODELPRESS_WORKER_SLOTS: count.default(1).describe('Stage runs that one worker executes at once.'),
  MODELPRESS_WORKER_LANES: lanes
    .default(['cpu'])
    .describe('Kinds of stages that this worker takes: `cpu`, `gpu` or both.'),
  MODELPRESS_WORKER_THREADS: count
    .default(availableParallelism())
    .describe('Threads of one stage; default: the cores of the machine.'),
  MODELPRESS_NATIVE: z
    .enum(['auto', 'off'])
    .default('auto')
    .describe('`off`: stages do not use the native runtime, also where it is compiled (docs/native.md).'),
  MODELPRESS_WORKER_MEMORY_BYTES: count
    .default(totalmem())
    .describe('Memory that this worker reports; default: that of the machine.'),
  MODELPRESS_CACHE_BYTES: count.default(20 * 1024 ** 3).describe('Size of a worker’s cache of models and data sets.'),
});
export type Environment = z.infer<typeof environmentSchema>;

export type Variable = keyof typeof environmentSchema.shape;
export const VARIABLES = Object.keys(environmentSchema.shape) as readonly Variable[];

/** Never logged, never shown. */
export const SECRET_VARIABLES: readonly Variable[] = [
  'MODELPRESS_DATABASE_URL',
  'MODELPRESS_REDIS_URL',
  'MODELPRESS_S3_ACCESS_KEY_ID',
  'MODELPRESS_S3_SECRET_ACCESS_KEY',
  'MODELPRESS_API_KEY',
  'MODELPRESS_WEBHOOK_SECRET',
];
