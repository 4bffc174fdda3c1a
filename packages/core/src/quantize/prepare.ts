/** @file From settings to a method: everything that takes data or time, once, before any number of rewrites. */
import { join } from 'node:path';
import { invalid } from '../errors';
import type { Model } from '../graph';
import { activationGrids, calibrate } from './calibrate';
import { withCalibrationRows } from './calibration-rows';
import type { CalibrationSource } from './calibration-rows';
import { chooseForm } from './choose-form';
import { compensateModel } from './compensate-model';
import { activationSettings, calibrationSettings, weightSettings } from './config';
import type { QuantizeConfig } from './config';
import type { QuantizeMethod, StaticMethod, WeightOnlyMethod } from './method';
import type { ObserveOptions } from './observe';

export const NO_CALIBRATION_DATA =
  'Calibration needs texts: give a data set as "calibration", or as "data" with a dev or train split.';

export interface PrepareOptions extends ObserveOptions {
  /** Bundle folder of the model. */
  readonly bundle: string;
  /** Data set folders; needed where the settings calibrate. */
  readonly datasets: { readonly calibration?: string; readonly data?: string };
  /** Folder for the calibration cache. */
  readonly checkpoints: string;
  readonly seed: number;
  readonly threads: number;
}

/**
 * The method that these settings ask for, without training. Independent of what will be excluded.
 * @throws `quantize.no-calibration-rows`, `quantize.foreign-labels`, `cancelled`
 */
export async function prepareMethod(
  model: Model,
  config: QuantizeConfig,
  options: PrepareOptions,
): Promise<QuantizeMethod> {
  switch (config.mode) {
    case 'fp16':
      return { kind: 'fp16' };
    case 'dynamic':
      return {
        kind: 'dynamic',
        form: config.form === 'auto' ? (await chooseForm(model, options.threads, options.signal)).form : config.form,
      };
    case 'static':
      return calibratedMethod(model, config, options);
    case 'weight-only':
      return blockMethod(model, config, options);
  }
}

/** Activation grids from calibration texts. */
export async function calibratedMethod(
  model: Model,
  config: QuantizeConfig,
  options: PrepareOptions,
): Promise<StaticMethod> {
  const { outputs, ...range } = activationSettings(config);
  const cache = join(options.checkpoints, 'calibration.json');
  const histograms = await withCalibrationRows(sourceOf(config, options), (rows) =>
    calibrate(model, rows, { ...options, cache }),
  );
  return { kind: 'static', outputs, grids: activationGrids(histograms, range) };
}

async function blockMethod(model: Model, config: QuantizeConfig, options: PrepareOptions): Promise<WeightOnlyMethod> {
  const { bits, block, symmetric, rounding, damping, compute } = weightSettings(config);
  const format = { bits, block, symmetric };
  const method = { kind: 'weight-only', ...format, compute } as const;
  if (rounding === 'nearest') return method;
  const codes = await withCalibrationRows(sourceOf(config, options), (rows) =>
    compensateModel(model, rows, { ...options, format, damping }),
  );
  return { ...method, codes };
}

function sourceOf(
  config: QuantizeConfig,
  { bundle, datasets: { calibration, data }, seed, signal }: PrepareOptions,
): CalibrationSource {
  const { rows, maxLength } = calibrationSettings(config);
  const dataset = calibration ?? data;
  if (dataset === undefined)
    throw invalid('quantize.no-calibration-data', NO_CALIBRATION_DATA, { field: 'datasets.calibration' });
  return { bundle, dataset, dedicated: calibration !== undefined, rows, maxLength, seed, signal };
}
