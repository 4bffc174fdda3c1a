/** @file What can be said of a quantization before it runs: refusals and expectations. */
import { int8Warning, readEnvironment } from '../bench/environment';
import { foreignLabels, labelsOf } from '../bundle/manifest';
import type { Manifest, Task } from '../bundle/manifest';
import { calibrates, weightSettings } from '../quantize/config';
import type { QuantizeConfig } from '../quantize/config';
import { calibrationSplit, foreignMessage, noRows } from '../quantize/calibration-rows';
import { NO_CALIBRATION_DATA } from '../quantize/prepare';
import { parameterShares } from './parameter-shares';
import type { Estimate, Issue, StagePreview } from './stage';

/** Name of this step in a model's provenance. */
export const STEP = 'quantize';
/** Rounded up from a BERT-base on one busy core. */
const SECONDS_PER_PARAMETER = 30e-9;

export function checkQuantize(config: QuantizeConfig, preview: StagePreview): readonly Issue[] {
  const { model } = preview;
  return [
    ...settingIssues(config),
    ...dataIssues(config, preview),
    ...(model ? [...modelIssues(config, model), ...excludeIssues(config, model)] : []),
  ];
}

/** Settings that another mode has. */
function settingIssues({ mode, form, weights, activations, calibration, train, ...config }: QuantizeConfig): Issue[] {
  const misplaced = (path: string, owner: string): Issue => ({
    path,
    code: 'other-mode',
    message: `"${path}" belongs to ${owner}; this stage has mode ${mode}.`,
  });
  const issues: Issue[] = [];
  if (form !== 'auto' && mode !== 'dynamic') issues.push(misplaced('form', 'mode dynamic'));
  if (weights && mode !== 'weight-only') issues.push(misplaced('weights', 'mode weight-only'));
  if (activations && mode !== 'static') issues.push(misplaced('activations', 'mode static'));
  const whole = { mode, form, weights, activations, calibration, train, ...config };
  if (calibration && !calibrates(whole)) {
    issues.push(misplaced('calibration', 'mode static, and to mode weight-only with rounding gptq'));
  }
  if (train && mode === 'fp16') issues.push(misplaced('train', 'the modes dynamic, static and weight-only'));
  if (train && mode === 'weight-only' && weights) issues.push(...trainedWeightIssues(weightSettings(whole)));
  return issues;
}

function trainedWeightIssues({ rounding, symmetric }: ReturnType<typeof weightSettings>): Issue[] {
  const issues: Issue[] = [];
  if (rounding === 'gptq') {
    const message = 'Training already chooses weights for their codes: use rounding "nearest" with it.';
    issues.push({ path: 'weights.rounding', code: 'trained', message });
  }
  if (!symmetric) {
    const message = 'Scales are learned for symmetric blocks only.';
    issues.push({ path: 'weights.symmetric', code: 'trained', message });
  }
  return issues;
}

function dataIssues(config: QuantizeConfig, { model, datasets: { data, calibration } }: StagePreview): Issue[] {
  const issues: Issue[] = [];
  if (config.train && !data) {
    issues.push({ path: 'train', code: 'no-data', message: 'Training needs a data set as "data".' });
  } else if (config.train && !data?.splits.train?.rows) {
    issues.push({ path: 'train', code: 'no-train-split', message: `The data set "${data?.name}" has no train split.` });
  }
  if (!calibrates(config)) return issues;
  const chosen = calibration ?? data;
  if (!chosen) return [...issues, { path: '', code: 'no-calibration-data', message: NO_CALIBRATION_DATA }];
  if (!calibrationSplit(chosen, calibration !== undefined)) {
    issues.push({ path: '', code: 'no-calibration-rows', message: noRows(chosen, calibration !== undefined) });
  }
  const foreign = foreignLabels(model ? labelsOf(model) : [], chosen.labels);
  if (foreign.length > 0) {
    issues.push({ path: '', code: 'foreign-labels', message: foreignMessage(chosen, foreign) });
  }
  return issues;
}

const TRAINABLE: Readonly<Record<Task, boolean>> = {
  classification: true,
  'pair-classification': true,
  regression: true,
  'causal-lm': true,
  'masked-lm': false,
  embedding: false,
};

function modelIssues(config: QuantizeConfig, model: Manifest): Issue[] {
  const issues: Issue[] = [];
  issues.push(...codebookIssues(model));
  if (model.architecture === 'dan' && (config.mode !== 'dynamic' || config.train)) {
    const message = 'A DAN runs from a table of its own, which can be int8 only: use mode dynamic, without training.';
    issues.push({ path: config.train ? 'train' : 'mode', code: 'dan', message });
  }
  if ((calibrates(config) || config.train) && !model.tokenizer) {
    issues.push({ path: '', code: 'no-tokenizer', message: 'The model has no tokenizer, so it cannot read texts.' });
  }
  if (config.train && !TRAINABLE[model.task]) {
    issues.push({ path: 'train', code: 'task', message: `A ${model.task} model has no labels to train on.` });
  }
  return issues;
}

/** Codes are decoded by the graph, so they are no weights that could take fewer bits. */
function codebookIssues({ name, codebooks, components }: Manifest): Issue[] {
  if (!codebooks?.length || components.some(({ component }) => component !== 'classifier')) return [];
  const message = `All weights of the model "${name}" but the classifier are stored as codebooks, so nothing is left to quantize: quantize the model that they were made from, or leave components out of the share stage.`;
  return [{ path: '', code: 'codebooks', message }];
}

function excludeIssues({ exclude }: QuantizeConfig, model: Manifest): Issue[] {
  const depth = model.structure?.layers.length;
  return exclude.layers.flatMap((layer, i) => {
    if (depth === undefined || layer < depth) return [];
    const message = `There is no layer ${layer}: the model has ${depth} layers, counted from 0.`;
    return [{ path: `exclude.layers[${i}]`, code: 'no-such-layer', message }];
  });
}

/** Bytes of a quantized weight over those of the float one. */
function sizeRatio(config: QuantizeConfig): number {
  if (config.mode === 'fp16') return 1 / 2;
  if (config.mode !== 'weight-only') return 1 / 4;
  const { bits, block, symmetric } = weightSettings(config);
  return (bits + (32 + (symmetric ? 0 : 8)) / block) / 32;
}

const INT8_NOTE = 'How much faster it gets depends on the worker’s CPU: int8 needs VNNI, AMX or dotprod instructions.';

/** What to expect of the speed, mode by mode. */
function notesOf(config: QuantizeConfig): string[] {
  const here = int8Warning(readEnvironment(1).cpuFlags);
  const computesInt8 = config.mode === 'dynamic' || config.mode === 'static';
  if (config.mode === 'fp16')
    return ['Half precision makes the file smaller; it is computed in float32 and runs as before.'];
  if (config.mode === 'weight-only') {
    const { bits } = weightSettings(config);
    return [
      'Weight-only quantization makes the file small; it is seldom faster than float on long or batched texts.',
      ...(bits === 6
        ? ['6-bit weights are unpacked to 8 bits when the model is loaded: they save bytes on disk only.']
        : []),
    ];
  }
  return computesInt8 && here ? [INT8_NOTE, `Of the machine that answers this: ${here}`] : [INT8_NOTE];
}

export function estimateQuantize(config: QuantizeConfig, { model }: StagePreview): Estimate {
  const notes = notesOf(config);
  if (!model) return { parameters: 1, notes };
  const { exclude } = config;
  const kept = parameterShares(model)
    .filter(
      ({ component, layer }) =>
        exclude.components.includes(component) || (layer !== undefined && exclude.layers.includes(layer)),
    )
    .reduce((sum, { share }) => sum + share, 0);
  return {
    parameters: 1,
    bytes: kept + (1 - kept) * sizeRatio(config),
    // How long training and calibration take is known once they run.
    ...(calibrates(config) || config.train ? {} : { seconds: 1 + model.parameters.total * SECONDS_PER_PARAMETER }),
    notes,
  };
}
