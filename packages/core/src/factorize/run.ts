/** @file Factorization of a bundle: which weights, which ranks, the rewrite, and recovery training. */
import { refreshManifest } from '../bundle';
import type { Bundle, Manifest } from '../bundle';
import type { ComponentEntry } from '../bundle/manifest';
import { invalid, throwIfAborted } from '../errors';
import { recover } from '../finetune/recovery';
import type { Recovery } from '../finetune/recovery';
import type { TokenizedData, TrainingContext } from '../finetune/train-on';
import { Tensor } from '../graph';
import type { Model, Value } from '../graph';
import { removeDeadCode } from '../passes';
import { refuseQuantized } from '../quantize/sites';
import { requireEffects } from '../sensitivity/required';
import type { StageContext } from '../stages/stage';
import type { FactorizeConfig } from './config';
import { withHarms } from './harm';
import { biasShift, breakEvenRank, decompose, keptEnergy } from './low-rank';
import type { Decomposition, SecondMoment } from './low-rank';
import { collectMoments } from './moments';
import { fixedRanks, rankAboveFull, ranksByEnergy, ranksWithin } from './ranks';
import type { Ranks, Spectrum } from './ranks';
import { factorNames, matrixOf, rewrite } from './rewrite';
import { findTargets } from './targets';
import type { Passed, Target } from './targets';
import { timeProducts } from './timing';

/** Name of this step in a model's provenance. */
export const FACTORIZE_STEP = 'factorize';

/** One chosen weight that was looked at. */
export interface FactorizedWeight {
  readonly weight: string;
  readonly component: ComponentEntry['component'];
  readonly layer: number | undefined;
  readonly rows: number;
  readonly columns: number;
  /** Undefined: it stays whole, for the `reason`. */
  readonly rank: number | undefined;
  /** Share of the squared singular values kept; 1 where it stays whole. */
  readonly kept: number;
  readonly reason?: string;
}

export interface FactorizeResult {
  readonly bundle: Bundle;
  readonly weights: readonly FactorizedWeight[];
  readonly passed: readonly Passed[];
  readonly recovery: Recovery | undefined;
  readonly warnings: readonly string[];
}

export interface FactorizeOptions {
  readonly config: FactorizeConfig;
  readonly context: StageContext & TrainingContext;
  /** Bundle folder of the model as it is; teaches in recovery. */
  readonly original: string;
  /** Its size in bytes, for a budget in bytes. */
  readonly originalBytes: number;
  /** Needed by the activation-aware method and by recovery training. */
  readonly data: TokenizedData | undefined;
}

/** Bytes of the nodes and names that a second matrix adds to a file, at most. */
const OVERHEAD_BYTES = 512;

/**
 * Factorizes the chosen weights of a bundle in place and trains it to recover where the config asks for that.
 * @throws invalid `factorize.nothing`, `factorize.budget`, `sensitivity.missing`, `quantize.already-quantized`, `cancelled`
 */
export async function factorizeBundle(bundle: Bundle, options: FactorizeOptions): Promise<FactorizeResult> {
  const { config, context } = options;
  const { model, manifest } = bundle;
  refuseQuantized(model.graph);
  const { targets, passed } = findTargets(model.graph, manifest.components, config.components);
  if (targets.length === 0) throw nothing(manifest, config, passed);
  const warnings = beyondRank(targets, config);
  const trains = config.epochs > 0;
  const before = within(context, 0, trains ? 0.4 : 0.9);
  const moments = await momentsOf(model, targets, options, within(before, 0, 0.3));
  const parts = await decomposeAll(targets, moments, config, within(before, 0.3, 1));
  const spectra = config.bySensitivity
    ? withHarms(await requireEffects(options.original, 'rank', 'bySensitivity'), targets, parts)
    : parts;
  const ranks = await keepFaster(chooseRanks(spectra, options), parts, targets, config, context);
  const weights = targets.map((target, i) => factorizeOne(model, target, parts[i], ranks[i], moments));
  if (weights.every(({ rank }) => rank === undefined)) throw nothingSmaller(weights);
  removeDeadCode(model);
  model.graph.sort();
  const factorized = { ...bundle, manifest: updated(manifest, model, weights, config) };
  if (!trains) return { bundle: factorized, weights, passed, recovery: undefined, warnings };
  const recovery = await recover(factorized, { ...options, context: within(context, 0.4, 1), data: options.data! });
  return { bundle: recovery.bundle, weights, passed, recovery, warnings };
}

/** The context with its progress squeezed into a part of the stage. */
function within<C extends Pick<StageContext, 'progress'>>(context: C, from: number, to: number): C {
  const progress: StageContext['progress'] = (given) =>
    context.progress({ ...given, fraction: from + (to - from) * given.fraction });
  return { ...context, progress };
}

type Moments = ReadonlyMap<string, SecondMoment>;

async function momentsOf(
  model: Model,
  targets: readonly Target[],
  { config, data }: FactorizeOptions,
  context: StageContext & TrainingContext,
): Promise<Moments> {
  if (config.method === 'svd') return new Map();
  return collectMoments(model, targets, data!.train, config.calibrationRows, context);
}

async function decomposeAll(
  targets: readonly Target[],
  moments: Moments,
  { budget }: FactorizeConfig,
  context: Pick<StageContext, 'signal' | 'progress'>,
): Promise<Decomposition[]> {
  const wanted = budget.type === 'rank' ? budget.rank : Infinity;
  const parts: Decomposition[] = [];
  for (const target of targets) {
    // Long arithmetic: give cancellation and progress messages a turn.
    await new Promise(setImmediate);
    throwIfAborted(context.signal);
    const matrix = matrixOf(target);
    const mostUseful = Math.max(1, Math.min(wanted, breakEvenRank(matrix.rows, matrix.columns)));
    parts.push(decompose(matrix, moments.get(target.weight.name), mostUseful));
    context.progress({ fraction: parts.length / targets.length, phase: `matrix ${parts.length}/${targets.length}` });
  }
  return parts;
}

function chooseRanks(parts: readonly Spectrum[], { config, originalBytes }: FactorizeOptions): Ranks {
  const { budget, minimumRank, multipleOf } = config;
  const limits = { minimum: minimumRank, multipleOf };
  const chosen = parts.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  switch (budget.type) {
    case 'rank':
      return fixedRanks(parts, budget.rank);
    case 'energy':
      return ranksByEnergy(parts, budget.share, limits);
    case 'parameters':
      return ranksWithin(parts, chosen * budget.share, limits);
    case 'bytes': {
      const others = originalBytes - 4 * chosen + parts.length * OVERHEAD_BYTES;
      return ranksWithin(parts, Math.max(0, (budget.bytes - others) / 4), limits);
    }
  }
}

/** With `only: faster`, takes back what does not measure faster as two. Look-ups never do. */
async function keepFaster(
  ranks: Ranks,
  parts: readonly Decomposition[],
  targets: readonly Target[],
  { only }: FactorizeConfig,
  context: StageContext,
): Promise<Ranks> {
  if (only === 'smaller') return ranks;
  const known = new Map<string, boolean>();
  const kept: (number | undefined)[] = [];
  for (const [i, rank] of ranks.entries()) {
    const { rows, columns } = parts[i];
    const key = `${rows}x${columns} at rank ${rank}`;
    if (rank !== undefined && targets[i].kind === 'linear' && !known.has(key)) {
      const { whole, thin } = await timeProducts({ rows, columns, rank }, context.threads, context.signal);
      context.log('info', `${key}: ${thin.toFixed(3)} ms instead of ${whole.toFixed(3)} ms`);
      known.set(key, thin < whole);
    }
    kept.push(known.get(key) ? rank : undefined);
  }
  return kept;
}

function factorizeOne(
  model: Model,
  target: Target,
  parts: Decomposition,
  rank: number | undefined,
  moments: Moments,
): FactorizedWeight {
  const { rows, columns, energies } = parts;
  const { component, layer } = target;
  const facts = { weight: target.weight.name, component, layer, rows, columns, rank };
  if (rank === undefined) return { ...facts, kept: 1, reason: 'two matrices would be no smaller or no faster' };
  const factors = parts.factors(rank);
  const moment = moments.get(target.weight.name);
  if (moment?.mean && target.bias)
    addTo(target.bias, biasShift(matrixOf(target), factors, { ...moment, mean: moment.mean }));
  rewrite(model.graph, target, factors);
  return { ...facts, kept: keptEnergy(energies, rank) };
}

function addTo(bias: Value, shift: Float64Array): void {
  const { dims, data } = bias.constant as Tensor<'float32'>;
  bias.constant = Tensor.float32(
    dims,
    data.map((value, i) => value + shift[i]),
  );
}

function updated(
  manifest: Manifest,
  model: Model,
  weights: readonly FactorizedWeight[],
  config: FactorizeConfig,
): Manifest {
  const thin = new Set(weights.filter(({ rank }) => rank !== undefined).map(({ weight }) => weight));
  const components = manifest.components.flatMap((entry) => (thin.has(entry.weight) ? factorEntries(entry) : [entry]));
  const { method, budget } = config;
  const step = { step: FACTORIZE_STEP, detail: { method, budget, weights: thin.size } };
  return refreshManifest(manifest, model, { components, provenance: [...manifest.provenance, step] });
}

/** The two matrices of one weight; the bias is added after the second. */
export function factorEntries({ component, layer, weight, bias }: ComponentEntry): ComponentEntry[] {
  const { first, second } = factorNames(weight);
  const role = { component, ...(layer === undefined ? {} : { layer }) };
  return [
    { ...role, weight: first, factor: 'first' },
    { ...role, weight: second, ...(bias === undefined ? {} : { bias }), factor: 'second' },
  ];
}

/**
 * A whole component that is out of reach of the rank. A model whose sizes were known at submit was refused there; what is
 * left to say here is what an earlier stage has pruned below the rank.
 */
function beyondRank(targets: readonly Target[], { budget }: FactorizeConfig): string[] {
  if (budget.type !== 'rank') return [];
  const fullRank = ({ weight }: Target): number => Math.min(...weight.constant!.dims);
  const known = targets.map((target) => ({ component: target.component, fullRank: fullRank(target) }));
  const beyond = rankAboveFull(known, budget.rank);
  return beyond ? [`${beyond} Its matrices stay whole.`] : [];
}

function nothing({ name }: Manifest, { components }: FactorizeConfig, [first]: readonly Passed[]): Error {
  const example = first ? ` For example "${first.weight}": ${first.reason}.` : '';
  return invalid('factorize.nothing', `The model "${name}" has no ${components.join(' or ')} to factorize.${example}`, {
    field: 'components',
  });
}

function nothingSmaller([{ weight, rows, columns }]: readonly FactorizedWeight[]): Error {
  return invalid(
    'factorize.nothing',
    `No matrix would become smaller: two of "${weight}" save something up to rank ${breakEvenRank(rows, columns)} of ${Math.min(rows, columns)}.`,
    { field: 'budget' },
  );
}
