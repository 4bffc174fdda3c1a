/** @file Histograms of a model's activations, kept in a cache file that serves any exclusions and range methods. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Model } from '../graph';
import { Histogram } from './histogram';
import { observeValues } from './observe';
import type { CalibrationRows, ObserveOptions } from './observe';
import { chooseRange, gridOf } from './range';
import type { RangeConfig } from './range';
import { findSites } from './sites';
import type { ActivationGrid } from './static';

const cacheSchema = z.object({
  format: z.literal(1),
  /** Hash of the model's weights and nodes, and of the calibration rows. */
  model: z.string(),
  rows: z.string(),
  histograms: z.record(
    z.string(),
    z.object({
      min: z.number(),
      max: z.number(),
      binWidth: z.number(),
      counts: z.array(z.tuple([z.int(), z.number()])),
    }),
  ),
});

export interface CalibrateOptions extends ObserveOptions {
  /** File to read histograms from, if they are of this model and these rows, and to write them to otherwise. */
  readonly cache?: string;
}

/**
 * Histograms of the inputs and outputs of every product with a constant weight, whatever will be excluded: so one
 * calibration serves every choice of what stays float.
 */
export async function calibrate(
  model: Model,
  rows: CalibrationRows,
  { cache, ...options }: CalibrateOptions = {},
): Promise<ReadonlyMap<string, Histogram>> {
  const fingerprint = digestOf(model);
  const known = cache === undefined ? undefined : await readCache(cache, fingerprint, rows.digest);
  if (known) return known;
  const sites = findSites(model.graph).sites.filter((site) => site.kind === 'linear');
  const names = [...new Set(sites.flatMap(({ node }) => [node.input(0).name, node.output().name]))];
  const histograms = new Map(names.map((name) => [name, new Histogram()]));
  await observeValues(model, names, rows, options, (name, values) => histograms.get(name)!.add(values));
  if (cache !== undefined) await writeCache(cache, fingerprint, rows.digest, histograms);
  return histograms;
}

/** The int8 grid of every histogram. */
export const activationGrids = (
  histograms: ReadonlyMap<string, Histogram>,
  config: RangeConfig,
): Map<string, ActivationGrid> =>
  new Map([...histograms].map(([name, histogram]) => [name, gridOf(chooseRange(histogram, config))]));

async function readCache(path: string, model: string, rows: string): Promise<Map<string, Histogram> | undefined> {
  if (!existsSync(path)) return undefined;
  const cache = parseCache(await readFile(path, 'utf8'));
  if (cache?.model !== model || cache.rows !== rows) return undefined;
  return new Map(Object.entries(cache.histograms).map(([name, state]) => [name, Histogram.from(state)]));
}

/** A damaged file is no cache. */
function parseCache(text: string): z.infer<typeof cacheSchema> | undefined {
  try {
    return cacheSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

async function writeCache(
  path: string,
  model: string,
  rows: string,
  histograms: ReadonlyMap<string, Histogram>,
): Promise<void> {
  const states = Object.fromEntries([...histograms].map(([name, histogram]) => [name, histogram.state]));
  const unfinished = `${path}.tmp`;
  await writeFile(unfinished, JSON.stringify({ format: 1, model, rows, histograms: states }));
  await rename(unfinished, path);
}

/** Hash of what a model computes. */
function digestOf({ graph }: Model): string {
  const hash = createHash('sha256');
  for (const node of graph.nodes) hash.update(`${node.opType} ${node.inputs.map((value) => value?.name).join()};`);
  for (const { name, constant } of graph.initializers) hash.update(name).update(constant!.bytes);
  return hash.digest('hex');
}
