/** @file Stage `sensitivity`: which parts of the model suffer from being compressed, before anything is. */
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Subject } from '../bench/subject';
import { MANIFEST_FILE, readBundle } from '../bundle';
import type { Manifest } from '../bundle';
import { invalid } from '../errors';
import { metricsOf } from '../evaluate';
import { choiceSchema, nameOf } from '../sensitivity/choices';
import { effectSchema, SENSITIVITY_FILE, sensitivitySchema } from '../sensitivity/effects';
import type { Sensitivity } from '../sensitivity/effects';
import { canJudge, Judge } from '../sensitivity/judge';
import { operationShares, Stopwatch } from '../sensitivity/latency';
import { measureSensitivity } from '../sensitivity/measure';
import { sensitivityStep } from '../sensitivity/required';
import { ResultCache } from '../sensitivity/result-cache';
import { sensitivityMeasurements, sensitivitySections } from './sensitivity-report';
import type { Issue, StageContext, StageDefinition, StagePreview, StageResult } from './stage';

const schema = z.strictObject({
  choices: z
    .array(choiceSchema)
    .min(1)
    .max(12)
    .default([
      { type: 'int8' },
      { type: 'weights', bits: 4 },
      { type: 'prune', share: 0.5 },
      { type: 'rank', share: 0.25 },
    ])
    .describe('What is tried on each layer and component, without training.'),
  metric: z
    .string()
    .optional()
    .describe('Figure shown beside loss and KL; default: the first of the task, accuracy or pearson.'),
  split: z
    .enum(['dev', 'train'])
    .default('dev')
    .describe('Split whose rows are tried; test stays unseen, because later stages decide by the outcome.'),
  rows: z.int().min(10).max(100_000).default(200).describe('Rows that each version is tried on, drawn with the seed.'),
  cells: z
    .boolean()
    .default(true)
    .describe('Also each component of each layer by itself, not only whole layers and components of all layers.'),
  latency: z
    .strictObject({
      batch: z.int().min(1).max(1024).default(1).describe('Rows fed at once.'),
      sequence: z.int().min(1).default(32).describe('Tokens of each row.'),
      seconds: z.number().min(0.1).max(60).default(0.5).describe('Time for each comparison with the original.'),
    })
    .prefault({})
    .describe('Shape at which the effect on latency is measured.'),
});
type SensitivityConfig = z.infer<typeof schema>;

/** Rounded up from a BERT-base on one busy core: a version is compiled, run on the rows, and timed. */
const SECONDS_PER_PARAMETER = 60e-9;

export const sensitivityStage: StageDefinition<SensitivityConfig> = {
  type: 'sensitivity',
  version: 2,
  queue: 'quant',
  summary:
    'Tries int8, 4 bit, pruning and low rank on each layer and component and ranks what they do to quality and speed; the model goes on unchanged, with sensitivity.json beside it.',
  schema,
  needs: { model: true, datasets: ['data'] },
  makesModel: true,
  onQuantized: () => ({ refuses: 'analyse the float model it was made from' }),
  check,
  outcome: withStep,
  estimate: ({ choices, cells }, { model }) => {
    const unchanged = { parameters: 1, bytes: 1, flops: 1, notes: ['The model goes on unchanged.'] };
    if (!model) return unchanged;
    const layers = model.structure?.layers.length ?? 0;
    const groups = layers + 9 + (cells ? 6 * layers : 0);
    return { ...unchanged, seconds: choices.length * groups * (0.5 + model.parameters.total * SECONDS_PER_PARAMETER) };
  },
  run,
};

/** Tells later stages that the ranking lies beside the model, and what was tried. */
function withStep({ choices }: SensitivityConfig, manifest: Manifest): Manifest {
  return { ...manifest, provenance: [...manifest.provenance, sensitivityStep(choices.map(nameOf))] };
}

function check(config: SensitivityConfig, { model, datasets: { data } }: StagePreview): readonly Issue[] {
  const issues: Issue[] = [];
  const issue = (path: string, code: string, message: string): void => void issues.push({ path, code, message });
  const names = config.choices.map(nameOf);
  names.forEach((name, i) => {
    if (names.indexOf(name) < i) issue(`choices[${i}]`, 'repeated', `"${name}" is listed twice.`);
  });
  if (data && !data.splits[config.split])
    issue('split', 'no-such-split', `The data set "${data.name}" has no ${config.split} split.`);
  if (!model) return issues;
  if (!canJudge(model)) {
    const what = model.architecture === 'dan' ? 'a DAN' : `a model for ${model.task}`;
    issue('', 'unsupported', `Sensitivity is measured for classifiers and regression, not for ${what}.`);
    return issues;
  }
  if (!model.tokenizer) issue('', 'no-tokenizer', 'The model has no tokenizer, so it cannot read texts.');
  const known = metricsOf(model.task);
  if (config.metric !== undefined && !known.includes(config.metric))
    issue(
      'metric',
      'unknown-metric',
      `A model for ${model.task} has no "${config.metric}"; known: ${known.join(', ')}.`,
    );
  if (config.latency.sequence > model.maxLength)
    issue('latency.sequence', 'too-long', `The model takes at most ${model.maxLength} tokens.`);
  return issues;
}

async function run(config: SensitivityConfig, context: StageContext): Promise<StageResult> {
  const { model: folder, datasets, checkpoints, threads, seed, signal } = context;
  if (folder === undefined || datasets.data === undefined)
    throw invalid('stage.inputs', 'The sensitivity stage needs a model and data.');
  context.progress({ fraction: 0, phase: 'reading the model' });
  const { model, manifest } = await readBundle(folder);
  const { split, rows } = config;
  const metric = requireMetric(config, manifest);
  const { vocabulary } = await Subject.open(folder);
  const stopwatch = await Stopwatch.start(model, {
    manifest,
    vocabulary,
    shape: config.latency,
    seconds: config.latency.seconds,
    threads,
    seed,
    signal,
  });
  const started = Date.now();
  const options = { bundle: folder, manifest, dataset: datasets.data, split, rows, seed, threads, signal };
  try {
    const found = await Judge.open(model, options, async (judge): Promise<Sensitivity> => {
      const effects = await measureSensitivity(model, {
        choices: config.choices,
        components: manifest.components,
        cells: config.cells,
        judge,
        stopwatch,
        operations: operationShares(model, config.latency),
        cache: new ResultCache(join(checkpoints, 'effects.json'), effectSchema),
        signal,
        onProgress: (done, total, phase) => {
          const eta = done === 0 ? {} : { etaSeconds: ((Date.now() - started) / 1000 / done) * (total - done) };
          context.progress({ fraction: 0.02 + (0.95 * done) / total, phase: `${done + 1}/${total}: ${phase}`, ...eta });
        },
      });
      const original = { ...judge.original.figures };
      return { format: 1, split, rows: judge.rows, seed, metric, original, effects };
    });
    const output = join(context.output, 'model');
    await cp(folder, output, { recursive: true });
    await writeFile(join(output, MANIFEST_FILE), `${JSON.stringify(withStep(config, manifest), null, 2)}\n`);
    await writeFile(join(output, SENSITIVITY_FILE), JSON.stringify(sensitivitySchema.parse(found)));
    const choices = config.choices.map(nameOf);
    return {
      model: 'model',
      measurements: sensitivityMeasurements(found),
      sections: sensitivitySections(found, choices, config.latency),
      warnings: [],
    };
  } finally {
    await stopwatch.stop();
  }
}

function requireMetric({ metric }: SensitivityConfig, { task }: Manifest): string {
  const known = metricsOf(task);
  const chosen = metric ?? known[0];
  if (chosen !== undefined && known.includes(chosen)) return chosen;
  throw invalid('sensitivity.metric', `A model for ${task} has no "${metric}".`, { field: 'metric' });
}
