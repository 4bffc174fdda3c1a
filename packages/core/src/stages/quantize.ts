import { join } from 'node:path';
import { quantizeTable } from '@modelpress/dan';
import type { z } from 'zod';
import { int8Warning, readEnvironment } from '../bench/environment';
import { bundleBytes, readBundle, writeBundle } from '../bundle/bundle';
import type { Bundle } from '../bundle/bundle';
import type { Manifest } from '../bundle/manifest';
import { readDan, writeDan } from '../dan';
import { invalid } from '../errors';
import { clone } from '../graph';
import { prepareMethod, quantizeModel, quantizeSchema } from '../quantize';
import type { Exclusions, QuantizeMethod, QuantizeResult } from '../quantize';
import { checkQuantize, estimateQuantize, STEP } from './quantize-check';
import {
  excludeSchema,
  keepAccuracy,
  keepIssues,
  keepSchema,
  mostSensitiveWeights,
  rankingIssues,
} from './quantize-keep';
import { keepSections, keepWarnings } from './quantize-keep-report';
import { quantizeSections, trainingSections } from './quantize-report';
import { trainForCodes } from './quantize-train';
import type { StageContext, StageDefinition, StageResult } from './stage';

const schema = quantizeSchema.extend({
  exclude: excludeSchema.prefault({}).describe('Weights that stay float.'),
  keep: keepSchema.optional(),
});
type QuantizeConfig = z.infer<typeof schema>;

export const quantizeStage: StageDefinition<QuantizeConfig> = {
  type: 'quantize',
  version: 3,
  queue: 'quant',
  summary:
    'Stores weights in fewer bits: int8 (dynamic, static, or trained for it), 8, 6 or 4 bits in blocks, or half precision.',
  schema,
  needs: { model: true, datasets: [], optionalDatasets: ['calibration', 'data'] },
  makesModel: true,
  measures: ({ keep }) => ({
    bytes: true,
    ...(keep && { mayLose: { path: 'keep.maxDrop', maxDrop: keep.maxDrop } }),
  }),
  onQuantized: () => ({ refuses: 'quantize the float model it was made from' }),
  check: (config, preview) => [
    ...checkQuantize(config, preview),
    ...keepIssues(config.keep, preview),
    ...rankingIssues(config.exclude.mostSensitive, preview),
  ],
  outcome: ({ mode }, model) => ({
    ...model,
    provenance: [...model.provenance, { step: STEP, detail: { mode } }],
  }),
  estimate: estimateQuantize,
  run,
};

async function run(config: QuantizeConfig, context: StageContext): Promise<StageResult> {
  const { model: folder, threads, signal } = context;
  if (folder === undefined) throw invalid('stage.model', 'The quantize stage needs a model.');
  const slow = speedWarning(config, threads);
  if (slow) context.log('warn', slow);
  context.progress({ fraction: 0, phase: 'reading the model' });
  const original = await readBundle(folder);
  const prepared = await methodOf(config, original, folder, context);
  const trained = config.train && (await trainForCodes(config.train, config.exclude, original, prepared, context));
  const { bundle, method } = trained ?? { bundle: original, method: prepared };
  const { components } = bundle.manifest;
  const { mostSensitive, names, ...exclude } = config.exclude;
  const excluded = [...names, ...(await mostSensitiveWeights(folder, method, mostSensitive))];
  const leaving = (floats: readonly string[]): Exclusions => ({ ...exclude, names: [...excluded, ...floats] });
  const kept =
    config.keep &&
    (await keepAccuracy(
      config.keep,
      { original: original.model, float: bundle.model, method, from: trained ? 0.7 : 0.25 },
      context,
      (floats) => {
        const version = clone(bundle.model);
        quantizeModel(version, method, { exclude: leaving(floats), components, signal });
        return version;
      },
    ));
  const start = kept ? 0.8 : 0.7;
  const result = quantizeModel(bundle.model, method, {
    exclude: leaving(kept?.best.weights ?? []),
    components,
    overwrite: true,
    signal,
    onProgress: (done, total) =>
      context.progress({ fraction: start + ((0.9 - start) * done) / total, phase: `weight ${done}/${total}` }),
  });
  if (result.quantized.length === 0 && !kept) {
    throw invalid('quantize.nothing', `No weight of the model can be quantized. ${firstReason(result.skipped)}`);
  }
  context.progress({ fraction: 0.9, phase: 'writing the model' });
  const output = join(context.output, 'model');
  await writeBundle(output, { ...bundle, manifest: updated(bundle.manifest, config, method, result) });
  if (bundle.manifest.architecture === 'dan') writeDan(output, quantizeTable(readDan(folder)));
  const bytes = (await bundleBytes(output)).model;
  return {
    model: 'model',
    measurements: [{ metric: 'bytes.model', value: bytes, unit: 'bytes', subject: 'candidate', context: {} }],
    sections: [
      ...(kept ? keepSections(kept) : []),
      ...quantizeSections(config, result),
      ...(trained ? trainingSections(trained) : []),
    ],
    warnings: [
      ...(slow ? [slow] : []),
      ...(trained?.warnings ?? []),
      ...(kept ? keepWarnings(kept) : []),
      ...result.unknownNames.map(unknownName),
    ],
  };
}

/** What these settings cost in speed on this machine, as far as it is known beforehand. */
function speedWarning({ mode }: QuantizeConfig, threads: number): string | undefined {
  const computesInt8 = mode === 'dynamic' || mode === 'static';
  return computesInt8 ? int8Warning(readEnvironment(threads).cpuFlags) : undefined;
}

async function methodOf(
  config: QuantizeConfig,
  { model }: Bundle,
  folder: string,
  context: StageContext,
): Promise<QuantizeMethod> {
  const share = config.train || config.keep ? 0.2 : 0.65;
  const method = await prepareMethod(model, config, {
    bundle: folder,
    datasets: context.datasets,
    checkpoints: context.checkpoints,
    seed: context.seed,
    threads: context.threads,
    signal: context.signal,
    onProgress: (fraction) => context.progress({ fraction: 0.05 + share * fraction, phase: 'calibrating' }),
  });
  if (method.kind === 'dynamic') context.log('info', `Int8 products are written as ${method.form}.`);
  return method;
}

/** Weights keep their names; those that were stored [out, in] are turned, unless a look-up shares them. */
function updated(
  manifest: Manifest,
  config: QuantizeConfig,
  method: QuantizeMethod,
  { quantized }: QuantizeResult,
): Manifest {
  const byName = new Map(quantized.map((weight) => [weight.weight, weight]));
  const components = manifest.components.map((entry) => {
    const weight = method.kind === 'fp16' ? undefined : byName.get(entry.weight);
    return weight ? { ...entry, transposed: weight.transposed } : entry;
  });
  const { mode, weights, activations, train, exclude } = config;
  const form = method.kind === 'dynamic' ? { form: method.form } : {};
  const detail = {
    mode,
    ...form,
    ...(weights && { weights }),
    ...(activations && { activations }),
    ...(train && { trained: true }),
    exclude,
    quantized: quantized.length,
  };
  return { ...manifest, components, provenance: [...manifest.provenance, { step: STEP, detail }] };
}

const firstReason = ([first]: QuantizeResult['skipped']): string =>
  first
    ? `For example ${first.op} "${first.node}": ${first.reason}.`
    : 'It has no products or look-ups with a constant float matrix.';

const unknownName = (name: string): string =>
  `The excluded name "${name}" is neither a node nor a weight that could be quantized.`;
