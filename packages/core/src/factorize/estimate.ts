/** @file What factorization will do to a model, from its manifest alone. */
import { COMPONENTS } from '../bundle/manifest';
import type { Component, ComponentEntry, Manifest, Structure } from '../bundle/manifest';
import type { Estimate, StagePreview } from '../stages/stage';
import type { FactorizeConfig } from './config';
import { breakEvenRank } from './low-rank';
import { fixedRanks } from './ranks';

/** A chosen matrix as far as the manifest tells. */
export interface KnownMatrix {
  readonly component: Component;
  readonly layer: number | undefined;
  readonly rows: number;
  readonly columns: number;
}

/** Tokens of the pass whose operations an estimate counts. */
const TOKENS = 128;
/** Seconds to take a [768, 768] matrix apart on one busy core. */
const SECONDS_PER_MATRIX = 2;

/** [in, out] of the matrices that a manifest describes; undefined where the structure is not known. */
export function knownMatrices(
  { components, structure }: Manifest,
  chosen: readonly Component[],
): KnownMatrix[] | undefined {
  if (!structure) return undefined;
  const whole = components.filter((entry) => chosen.includes(entry.component) && !entry.factor);
  return whole.flatMap(({ component, layer, weight }) => {
    const [rows, columns] = sizeOfComponent({ component, layer, weight }, structure);
    return rows > 0 && columns > 0 ? [{ component, layer, rows, columns }] : [];
  });
}

/** [in, out] of a matrix of a known structure; zeros for the classifier, whose width the structure does not say. */
export function sizeOfComponent(
  { component, layer, weight }: Pick<ComponentEntry, 'component' | 'layer' | 'weight'>,
  { hidden, layers, vocabulary, positions }: Structure,
): [number, number] {
  const sizes = layer === undefined ? undefined : layers[layer];
  const [query, value, ffn] = [sum(sizes?.queryDims ?? []), sum(sizes?.valueDims ?? []), sizes?.ffn ?? 0];
  const table: Record<Component, [number, number]> = {
    W_Q: [hidden, query],
    W_K: [hidden, query],
    W_V: [hidden, value],
    W_AO: [value, sizes?.attentionOutputs?.length ?? hidden],
    W_I: [hidden, ffn],
    W_O: [ffn, sizes?.ffnOutputs?.length ?? hidden],
    W_P: [hidden, hidden],
    classifier: [0, 0],
    embeddings: [/position/.test(weight) ? positions : /type/.test(weight) ? 2 : vocabulary, hidden],
  };
  return table[component];
}

/** Parameters, bytes and operations as shares of the model's. */
export function estimateFactorize(config: FactorizeConfig, { model }: StagePreview): Estimate {
  const notes = notesOf(config);
  const matrices = model && knownMatrices(model, config.components);
  if (!model || !matrices) return { notes };
  const before = elements(matrices);
  const after = parametersAfter(config, model, matrices);
  if (after === undefined || before === 0) return { notes };
  const parameters = 1 - (before - after) / model.parameters.total;
  const all = operations(knownMatrices(model, COMPONENTS)!) + attentionOperations(model);
  const saved = operations(matrices) * (1 - after / before);
  return {
    parameters,
    bytes: parameters,
    ...(all > 0 && { flops: 1 - saved / all }),
    seconds: matrices.reduce((sum, m) => sum + SECONDS_PER_MATRIX * (Math.min(m.rows, m.columns) / 768) ** 3, 1),
    notes,
  };
}

const elements = (matrices: readonly KnownMatrix[]): number =>
  matrices.reduce((sum, { rows, columns }) => sum + rows * columns, 0);

/** Multiply-adds of the products for one token; look-ups have none. */
const operations = (matrices: readonly KnownMatrix[]): number =>
  elements(matrices.filter(({ component }) => component !== 'embeddings'));

/** Multiply-adds of attention for one token of a text of 128. */
const attentionOperations = ({ structure }: Manifest): number =>
  (structure?.layers ?? []).reduce(
    (total, { queryDims, valueDims }) => total + TOKENS * (sum(queryDims) + sum(valueDims)),
    0,
  );

function parametersAfter(
  { budget }: FactorizeConfig,
  { parameters }: Manifest,
  matrices: readonly KnownMatrix[],
): number | undefined {
  const before = elements(matrices);
  switch (budget.type) {
    case 'rank': {
      const ranks = fixedRanks(matrices, budget.rank);
      const after = matrices.map(({ rows, columns }, i) => (ranks[i] ?? breakEvenOf(rows, columns)) * (rows + columns));
      return after.reduce((total, size) => total + size, 0);
    }
    case 'parameters':
      return before * budget.share;
    case 'bytes':
      return Math.max(0, Math.min(before, budget.bytes / 4 - (parameters.total - before)));
    case 'energy':
      return undefined;
  }
}

/** The rank, as a fraction, at which two matrices have as many elements as one. */
const breakEvenOf = (rows: number, columns: number): number => (rows * columns) / (rows + columns);

/** The smallest number of parameters that the chosen matrices can have together. */
export const leastParameters = (matrices: readonly KnownMatrix[], minimum: number): number =>
  matrices.reduce((sum, { rows, columns }) => {
    const limit = breakEvenRank(rows, columns);
    return sum + (limit < 1 ? rows * columns : Math.min(minimum, limit) * (rows + columns));
  }, 0);

const notesOf = ({ budget, epochs }: FactorizeConfig): string[] => [
  ...(budget.type === 'energy' ? ['How small the matrices get is known when their singular values are.'] : []),
  ...(epochs === 0 ? ['Without recovery training, accuracy falls quickly with the rank.'] : []),
];

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
