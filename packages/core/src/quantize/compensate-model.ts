/** @file Error-compensated codes of all of a model's products, with calibration data. */
import { throwIfAborted } from '../errors';
import type { Model, Tensor } from '../graph';
import { outputRows } from './blocks';
import type { BlockCodes, BlockFormat } from './blocks';
import { compensate, inverseFactor } from './gptq';
import { observeProducts } from './observe';
import type { CalibrationRows, ObserveOptions } from './observe';
import { findSites, plainProducts } from './sites';
import type { LinearSite } from './sites';

/** Bytes of X^T X that are held at once. A model that needs more is run over the rows several times. */
const HELD_BYTES = 256 * 2 ** 20;

export interface CompensateOptions extends ObserveOptions {
  readonly format: BlockFormat;
  /** Added to the diagonal of X^T X, as a share of its mean. */
  readonly damping: number;
}

/**
 * Codes by weight, for weights that only products read; each weight sees the float model's activations. Weights are
 * taken in groups whose X^T X fit in memory, whatever the number of rows.
 */
export async function compensateModel(
  model: Model,
  rows: CalibrationRows,
  { format, damping, onProgress, ...options }: CompensateOptions,
): Promise<Map<string, BlockCodes>> {
  const groups = groupByInput(model);
  const codes = new Map<string, BlockCodes>();
  for (const [index, group] of groups.entries()) {
    const widths = new Map(group.map((site) => [inputOf(site), widthOf(site)]));
    const products = await observeProducts(model, widths, rows, {
      ...options,
      onProgress: (fraction) => onProgress?.((index + fraction / 2) / groups.length),
    });
    let factor: { of: string; u: Float64Array } | undefined;
    for (const [at, site] of group.entries()) {
      throwIfAborted(options.signal);
      const { name, constant } = site.weight;
      const input = inputOf(site);
      // Products that share an input follow each other.
      if (factor?.of !== input) factor = { of: input, u: inverseFactor(products.get(input)!, widthOf(site), damping) };
      const matrix = outputRows(constant as Tensor<'float32'>, site.transposed);
      codes.set(name, compensate(matrix, factor.u, format, name));
      onProgress?.((index + 0.5 + (at + 1) / group.length / 2) / groups.length);
      await new Promise(setImmediate);
    }
  }
  return codes;
}

/** Sites by groups of inputs that are observed together; one site for each weight. */
function groupByInput(model: Model): LinearSite[][] {
  const products = plainProducts(findSites(model.graph).sites);
  // The first of those that read a weight.
  const byWeight = new Map(products.toReversed().map((site) => [site.weight, site] as const));
  const groups: LinearSite[][] = [];
  let held = new Map<string, number>();
  for (const site of [...byWeight.values()].toReversed()) {
    const bytes = 4 * widthOf(site) ** 2;
    const used = [...held.values()].reduce((sum, size) => sum + size, 0);
    if (groups.length === 0 || (!held.has(inputOf(site)) && used + bytes > HELD_BYTES)) {
      groups.push([]);
      held = new Map();
    }
    held.set(inputOf(site), bytes);
    groups.at(-1)!.push(site);
  }
  return groups;
}

const inputOf = ({ node }: LinearSite): string => node.input(0).name;

const widthOf = ({ weight, transposed }: LinearSite): number => weight.constant!.dims[transposed ? 1 : 0];
