import { z } from 'zod';
import { benchmark } from '../bench/benchmark';
import type { TextRow } from '../bench/loaded-model';
import { readEnvironment } from '../bench/environment';
import { countFlops } from '../bench/flops';
import { requireLength } from '../bench/inputs';
import { measureMemory } from '../bench/memory';
import { benchmarkEnergy } from './benchmark-energy';
import { measureSize } from '../bench/size';
import { Subject } from '../bench/subject';
import { invalid } from '../errors';
import { runtimeChoiceSchema, servingIssues, servingPrecisionSchema } from '../runtime';
import { readDatasetInfo, readSplit, SPLITS } from '../text';
import { benchmarkMeasurements } from './benchmark-measurements';
import type { MeasuredModel } from './benchmark-measurements';
import { benchmarkSections, benchmarkWarnings } from './benchmark-report';
import type { Estimate, Issue, StageContext, StageDefinition, StagePreview, StageResult } from './stage';

const schema = z.strictObject({
  batches: z.array(z.int().min(1).max(1024)).min(1).max(8).default([1, 8]).describe('Rows fed at once.'),
  sequences: z
    .array(z.int().min(1))
    .min(1)
    .max(8)
    .optional()
    .describe('Tokens of each row, without padding; default: 32 and 128, or the most that the models take.'),
  threads: z
    .array(z.int().min(1).max(256))
    .max(4)
    .default([])
    .describe('Thread counts; default: all that the worker gives the stage.'),
  seconds: z
    .number()
    .min(0.1)
    .max(600)
    .default(3)
    .describe('Time for each batch, sequence and thread count, both models together.'),
  warmup: z.int().min(0).max(1000).default(3).describe('Untimed rounds before each.'),
  minRounds: z.int().min(3).max(10_000).default(10).describe('Timed rounds at least, however long they take.'),
  maxRounds: z.int().min(3).max(100_000).default(1000).describe('Timed rounds at most.'),
  endToEnd: z
    .boolean()
    .default(true)
    .describe('Also time from real texts to results, tokenization included, where the job has a data set.'),
  memory: z.boolean().default(true).describe('Measure peak memory, each model in a process of its own.'),
  energy: z
    .strictObject({
      wattsPerCore: z
        .number()
        .positive()
        .default(5)
        .describe(
          'Power of a busy core where the counters of the processor cannot be read: server CPUs are rated at 4 to 7 W a core.',
        ),
      gramsPerKwh: z
        .number()
        .min(0)
        .default(480)
        .describe('Carbon dioxide equivalent of the electricity; 480 g is about the mean of the world.'),
      seconds: z.number().min(0.5).max(600).default(2).describe('Time for reading the counters, both models together.'),
    })
    .prefault({})
    .describe('Energy and carbon of 1,000 texts: read from the processor (RAPL) where possible, else estimated.'),
  runtime: runtimeChoiceSchema,
  precision: servingPrecisionSchema,
  compressed: z.boolean().default(true).describe('Also state the size after gzip, which is what zeros save on disk.'),
});
export type BenchmarkConfig = z.infer<typeof schema>;
/** With the lengths that are measured. */
type Grid = Omit<BenchmarkConfig, 'sequences'> & { readonly sequences: readonly number[] };

const DEFAULT_SEQUENCES = [32, 128];

/** The lengths asked for, or the default ones as far as models of this length go. */
const sequencesFor = ({ sequences }: BenchmarkConfig, maxLength = Number.POSITIVE_INFINITY): readonly number[] =>
  sequences ?? [...new Set(DEFAULT_SEQUENCES.map((sequence) => Math.min(sequence, maxLength)))];

/** Texts that the end-to-end timing goes through. */
const TEXTS = 256;

export const benchmarkStage: StageDefinition<BenchmarkConfig> = {
  type: 'benchmark',
  version: 3,
  queue: 'bench',
  summary: 'Times the model and the original in turns on this machine, and measures memory and size.',
  schema,
  needs: { model: true, baseline: true, datasets: [], optionalDatasets: ['data'] },
  makesModel: false,
  measures: (config) => ({ bytes: true, latency: { batches: config.batches, sequences: sequencesFor(config) } }),
  check,
  estimate,
  run,
};

function check(
  { sequences, minRounds, maxRounds, runtime, precision }: BenchmarkConfig,
  { model }: StagePreview,
): readonly Issue[] {
  const issues: Issue[] = [...servingIssues(runtime, precision)];
  sequences?.forEach((sequence, i) => {
    if (!model || sequence <= model.maxLength) return;
    const message = `The model takes at most ${model.maxLength} tokens.`;
    issues.push({ path: `sequences[${i}]`, code: 'too-long', message });
  });
  if (minRounds > maxRounds)
    issues.push({ path: 'minRounds', code: 'above-maximum', message: 'minRounds is above maxRounds.' });
  return issues;
}

function estimate(config: BenchmarkConfig, { model }: StagePreview): Estimate {
  const { batches, threads, seconds, endToEnd } = config;
  const cells =
    batches.length * (sequencesFor(config, model?.maxLength).length + Number(endToEnd)) * Math.max(1, threads.length);
  return { seconds: 10 + cells * seconds * 1.3, notes: [] };
}

async function run(asked: BenchmarkConfig, context: StageContext): Promise<StageResult> {
  if (context.model === undefined) throw invalid('stage.model', 'The benchmark stage needs a model.');
  const candidate = await Subject.open(context.model, asked.runtime, asked.precision);
  // In bf16 a model is also compared with itself as it is stored.
  const isOther = context.baseline !== context.model || candidate.serving.precision === 'bf16';
  const baseline =
    context.baseline !== undefined && isOther ? await Subject.open(context.baseline, asked.runtime) : undefined;
  const manifests = [candidate, baseline].flatMap((subject) => subject?.manifest ?? []);
  const config = { ...asked, sequences: sequencesFor(asked, Math.min(...manifests.map(({ maxLength }) => maxLength))) };
  for (const manifest of manifests) config.sequences.forEach((sequence) => requireLength(manifest, sequence));
  const threads = config.threads.length > 0 ? config.threads : [context.threads];
  const environment = readEnvironment(Math.max(...threads));
  const models: MeasuredModel[] = [await measureModel('candidate', candidate, config, context)];
  if (baseline) models.push(await measureModel('baseline', baseline, config, context));
  const texts = await readTexts(config, context, [candidate, baseline]);
  const cells = await benchmark(candidate, baseline, {
    ...config,
    ...(texts ? { texts } : {}),
    threads,
    seed: context.seed,
    signal: context.signal,
    onProgress: (done, total, phase) => context.progress({ fraction: 0.1 + (0.85 * done) / total, phase }),
  });
  const energy = await benchmarkEnergy(config, [candidate, baseline], cells, threads[0], context);
  return {
    measurements: benchmarkMeasurements(cells, models, energy, environment),
    sections: benchmarkSections(cells, models, energy, environment),
    warnings: [...runtimeWarnings([candidate, baseline]), ...benchmarkWarnings(cells, environment)],
  };
}

/** Models that could not run as they were made or asked to. */
const runtimeWarnings = (subjects: readonly (Subject | undefined)[]): string[] =>
  subjects.flatMap((subject) => subject?.serving.warning ?? []);

/** Size on disk and peak memory of one model, at the largest shape of the grid. */
async function measureModel(
  subject: MeasuredModel['subject'],
  model: Subject,
  config: Grid,
  context: StageContext,
): Promise<MeasuredModel> {
  const { signal, threads } = context;
  context.progress({ fraction: subject === 'candidate' ? 0.01 : 0.05, phase: `size and memory of the ${subject}` });
  const size = await measureSize(model.folder, config.compressed, signal);
  const shape = { batch: Math.max(...config.batches), sequence: Math.max(...config.sequences) };
  const request = {
    folder: model.folder,
    serving: model.serving,
    manifest: model.manifest,
    vocabulary: model.vocabulary,
    shape,
    threads,
    runs: 3,
  };
  const memory = config.memory ? { ...(await measureMemory(request, signal)), shape } : undefined;
  const pass = { batch: 1, sequence: shape.sequence };
  const flops = await countFlops(model, pass);
  if (flops === undefined)
    context.log('warn', `The operations of the ${subject} cannot be counted: it has an operator without a rule.`);
  return {
    subject,
    serving: model.serving,
    size,
    memory,
    parameters: model.manifest.parameters.total,
    flops: flops === undefined ? undefined : { value: flops, shape: pass },
  };
}

/** Texts of the data set's last split, if end-to-end timing is wanted and possible. */
async function readTexts(
  { endToEnd }: Grid,
  { datasets: { data } }: StageContext,
  subjects: readonly (Subject | undefined)[],
): Promise<readonly TextRow[] | undefined> {
  if (!endToEnd || data === undefined || subjects.some((subject) => subject && !subject.readsText)) return undefined;
  const { splits } = await readDatasetInfo(data);
  const split = SPLITS.findLast((name) => splits[name]);
  if (!split) return undefined;
  const texts: TextRow[] = [];
  for await (const { text, pair } of readSplit(data, split)) {
    texts.push(pair === undefined ? [text] : [text, pair]);
    if (texts.length === TEXTS) break;
  }
  return texts.length > 0 ? texts : undefined;
}
