import { join } from 'node:path';
import { quantizeTable } from '@modelpress/dan';
import { z } from 'zod';
import { int8Warning, readEnvironment } from '../bench/environment';
import { bundleBytes, readBundle, writeBundle } from '../bundle/bundle';
import type { Manifest } from '../bundle/manifest';
import { readDan, writeDan } from '../dan';
import { invalid } from '../errors';
import type { Model } from '../graph';
import { chooseForm, EMISSION_FORMS, exclusionsSchema, quantizeDynamicInt8 } from '../quantize';
import type { QuantizeResult, EmissionForm } from '../quantize';
import { parameterShares } from './parameter-shares';
import { quantizeSections } from './quantize-report';
import type { Estimate, Issue, StageContext, StageDefinition, StagePreview, StageResult } from './stage';

const schema = z.strictObject({
  mode: z.enum(['dynamic']).default('dynamic').describe('Int8 weights, activations quantized while the model runs.'),
  form: z
    .enum(['auto', ...EMISSION_FORMS])
    .default('auto')
    .describe(
      'Operators that the file uses: "matmul-integer" is standard ONNX, "dynamic-quantize-matmul" is of ONNX Runtime; "auto" tries both on the worker and takes the faster.',
    ),
  exclude: exclusionsSchema.prefault({}).describe('Weights that stay float.'),
});
type QuantizeConfig = z.infer<typeof schema>;

/** Name of this step in a model's provenance. */
const STEP = 'quantize';
/** Rounded up from a BERT-base on one busy core. */
const SECONDS_PER_PARAMETER = 30e-9;

export const quantizeStage: StageDefinition<QuantizeConfig> = {
  type: 'quantize',
  version: 1,
  queue: 'quant',
  summary:
    'Stores matrices and embeddings as int8: about a quarter of the bytes, and faster on CPUs with int8 instructions.',
  schema,
  needs: { model: true, datasets: [] },
  makesModel: true,
  measures: () => ({ bytes: true }),
  check,
  outcome: (config, model) => ({
    ...model,
    provenance: [...model.provenance, { step: STEP, detail: { mode: config.mode } }],
  }),
  estimate,
  run,
};

function check({ exclude }: QuantizeConfig, { model }: StagePreview): readonly Issue[] {
  if (!model) return [];
  const issues: Issue[] = [];
  if (model.provenance.some(({ step }) => step === STEP)) {
    issues.push({
      path: '',
      code: 'already-quantized',
      message: 'The model is quantized already: quantize the float model it was made from.',
    });
  }
  const depth = model.structure?.layers.length;
  exclude.layers.forEach((layer, i) => {
    if (depth === undefined || layer < depth) return;
    const message = `There is no layer ${layer}: the model has ${depth} layers, counted from 0.`;
    issues.push({ path: `exclude.layers[${i}]`, code: 'no-such-layer', message });
  });
  return issues;
}

function estimate({ exclude }: QuantizeConfig, { model }: StagePreview): Estimate {
  const notes = ['How much faster it gets depends on the worker’s CPU: int8 needs VNNI, AMX or dotprod instructions.'];
  if (!model) return { parameters: 1, notes };
  const kept = parameterShares(model)
    .filter(
      ({ component, layer }) =>
        exclude.components.includes(component) || (layer !== undefined && exclude.layers.includes(layer)),
    )
    .reduce((sum, { share }) => sum + share, 0);
  return {
    parameters: 1,
    bytes: kept + (1 - kept) / 4,
    seconds: 1 + model.parameters.total * SECONDS_PER_PARAMETER,
    notes,
  };
}

async function run(config: QuantizeConfig, context: StageContext): Promise<StageResult> {
  const { model: folder, threads, signal } = context;
  if (folder === undefined) throw invalid('stage.model', 'The quantize stage needs a model.');
  const { cpuFlags } = readEnvironment(threads);
  const slow = int8Warning(cpuFlags);
  if (slow) context.log('warn', slow);
  context.progress({ fraction: 0, phase: 'reading the model' });
  const bundle = await readBundle(folder);
  const form = await decideForm(bundle.model, config, context);
  const result = quantizeDynamicInt8(bundle.model, {
    form,
    exclude: config.exclude,
    components: bundle.manifest.components,
    overwrite: true,
    signal,
    onProgress: (done, total) =>
      context.progress({ fraction: 0.1 + (0.7 * done) / total, phase: `weight ${done}/${total}` }),
  });
  if (result.quantized.length === 0) {
    throw invalid('quantize.nothing', `No weight of the model can be quantized. ${firstReason(result.skipped)}`);
  }
  context.progress({ fraction: 0.8, phase: 'writing the model' });
  const output = join(context.output, 'model');
  await writeBundle(output, { ...bundle, manifest: updated(bundle.manifest, config, form, result) });
  if (bundle.manifest.architecture === 'dan') writeDan(output, quantizeTable(readDan(folder)));
  const bytes = (await bundleBytes(output)).model;
  return {
    model: 'model',
    measurements: [{ metric: 'bytes.model', value: bytes, unit: 'bytes', subject: 'candidate', context: {} }],
    sections: quantizeSections(result),
    warnings: [...(slow ? [slow] : []), ...result.unknownNames.map(unknownName)],
  };
}

async function decideForm(model: Model, { form }: QuantizeConfig, context: StageContext): Promise<EmissionForm> {
  if (form !== 'auto') return form;
  context.progress({ fraction: 0.05, phase: 'trying operators' });
  const choice = await chooseForm(model, context.threads, context.signal);
  context.log('info', `Int8 products are written as ${choice.form}.`, { milliseconds: choice.milliseconds });
  return choice.form;
}

/** Weights keep their names; those that were stored [out, in] are turned, unless a look-up shares them. */
function updated(
  manifest: Manifest,
  config: QuantizeConfig,
  form: EmissionForm,
  { quantized }: QuantizeResult,
): Manifest {
  const byName = new Map(quantized.map((weight) => [weight.weight, weight]));
  const components = manifest.components.map((entry) => {
    const weight = byName.get(entry.weight);
    return weight ? { ...entry, transposed: weight.transposed } : entry;
  });
  const detail = { mode: config.mode, form, exclude: config.exclude, weights: quantized.length };
  return { ...manifest, components, provenance: [...manifest.provenance, { step: STEP, detail }] };
}

const firstReason = ([first]: QuantizeResult['skipped']): string =>
  first
    ? `For example ${first.op} "${first.node}": ${first.reason}.`
    : 'It has no products or look-ups with a constant float matrix.';

const unknownName = (name: string): string =>
  `The excluded name "${name}" is neither a node nor a weight that could be quantized.`;
