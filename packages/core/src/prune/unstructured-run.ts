/** @file Weight, n-of-m and block pruning while training: masks, or trained scores that masks are made from. */
import { refreshManifest } from '../bundle';
import type { Bundle } from '../bundle';
import type { ComponentEntry } from '../bundle/manifest';
import { invalid } from '../errors';
import { trainOn } from '../finetune/train-on';
import type { TokenizedData, TrainingContext, TrainingOutcome } from '../finetune/train-on';
import type { TaskLoss } from '../finetune/loss';
import { headParameters } from '../finetune/method';
import { clone, Tensor } from '../graph';
import { parameterNames } from '../passes';
import type { HostTensor } from '../runtime/runtime';
import { Random } from '../train/random';
import type { Trainer, TrainerHooks } from '../train/trainer';
import { importanceOf, isStructured, isTrained, PRUNABLE } from './config';
import type { PruneConfig, PrunableComponent, TrainedImportance } from './config';
import { masksFromScores, maskSparsity } from './masks';
import type { MaskPattern, ScoredMatrix } from './masks';
import { effectiveTraining, pruningPhases } from './phases';
import type { PruningPhases } from './phases';
import { l0Penalty, reparameterize } from './reparameterize';
import type { ScoredWeight } from './reparameterize';
import { magnitudeScores, randomScores } from './scores';

export interface UnstructuredResult extends Omit<TrainingOutcome, 'trainer'> {
  readonly bundle: Bundle;
  /** Share of zeros by component and layer. */
  readonly sparsity: readonly { readonly component: string; readonly layer: number; readonly zeros: number }[];
  readonly recoveryFrom: number;
}

/** Trains with growing masks; the result has zeros where the masks are 0. */
export async function pruneUnstructured(
  config: PruneConfig,
  context: TrainingContext,
  bundle: Bundle,
  data: TokenizedData,
  loss: TaskLoss,
): Promise<UnstructuredResult> {
  const importance = importanceOf(config);
  const entries = prunableEntries(bundle, config);
  const phases = pruningPhases(config, Math.ceil(data.train.epoch(0).count / config.accumulate));
  const run = { config, context, bundle, data, loss, entries, phases };
  if (config.rewind) return afterRewind(run, config.rewind);
  return isTrained(importance) ? withScores(run, importance) : withMasks(run);
}

/** Everything that a run needs. */
interface Run {
  readonly config: PruneConfig;
  readonly context: TrainingContext;
  readonly bundle: Bundle;
  readonly data: TokenizedData;
  readonly loss: TaskLoss;
  readonly entries: readonly ComponentEntry[];
  readonly phases: PruningPhases;
}

/** Matrices with a target above zero; one that layers share once. @throws invalid `prune.no-component` when the model has none of them */
export function prunableEntries({ manifest }: Pick<Bundle, 'manifest'>, config: PruneConfig): ComponentEntry[] {
  const chosen = manifest.components.filter(({ component }) => targetOf(component, config) > 0);
  const entries = [...new Map(chosen.map((entry) => [entry.weight, entry])).values()];
  if (entries.length > 0) return entries;
  throw invalid('prune.no-component', `The model has none of the matrices ${PRUNABLE.join(', ')} to prune.`, {
    field: 'targets',
  });
}

const targetOf = (component: string, { target, targets }: PruneConfig): number => {
  const prunable = PRUNABLE.find((name) => name === component);
  if (!prunable) return 0;
  return targets[prunable] ?? (prunable === 'W_P' ? 0 : target);
};

/** Masks from weights, weights and gradients, or chance; the trainer keeps pruned weights at zero. */
async function withMasks({ config, context, bundle, data, loss, entries, phases }: Run): Promise<UnstructuredResult> {
  const { manifest, model } = bundle;
  const random = new Random(context.seed);
  const importance = importanceOf(config);
  const hooks = (trainer: Trainer): TrainerHooks => {
    const measured = importance === 'taylor' ? entries : [];
    const sums = new Map(measured.map(({ weight }) => [weight, new Float32Array(trainer.parameter(weight).size)]));
    const scoresOf = ({ weight }: ComponentEntry): Float32Array => {
      const slot = trainer.parameter(weight);
      if (importance === 'magnitude') return magnitudeScores(slot.weight);
      if (importance === 'random')
        return keepZerosLast(
          randomScores(slot.size, () => random.uniform()),
          slot.weight,
        );
      return sums.get(weight)!.map(Math.abs);
    };
    return {
      afterGradients(step) {
        if (phases.measures(step)) for (const [weight, sum] of sums) addTaylor(sum, trainer, weight);
      },
      afterUpdate(step) {
        const due = phases.dueAfter(step);
        if (due === undefined) return;
        const masks = masksFor(matricesOf(bundle, entries, scoresOf), config, due);
        for (const [name, mask] of masks) trainer.setMask(name, mask);
        for (const sum of sums.values()) sum.fill(0);
        context.log('info', `step ${step}: ${describe(masks)}`);
      },
      memory: new Map<string, Float32Array | Uint8Array>([...sums, ['random', random.bytes]]),
    };
  };
  const stepsPerEpoch = Math.ceil(data.train.epoch(0).count / config.accumulate);
  const training = effectiveTraining(config, stepsPerEpoch);
  const mayKeep = completion(phases);
  const options = {
    manifest,
    model,
    trainable: parameterNames(model),
    loss,
    data,
    config: training,
    hooks: (trainer: Trainer) => mayKeep.watch(hooks(trainer)),
    mayKeep: mayKeep.isComplete,
  };
  return trainOn(options, context, ({ trainer, ...outcome }) => ({
    ...outcome,
    ...finished(bundle, trainer.exportModel(), entries, config),
    recoveryFrom: phases.recoveryFrom,
  }));
}

/** Movement, PST and l0: scores are parameters of the graph. */
async function withScores(
  { config, context, bundle, data, loss, entries, phases }: Run,
  importance: TrainedImportance,
): Promise<UnstructuredResult> {
  const { manifest } = bundle;
  const model = clone(bundle.model);
  const scored = reparameterize(model, entries, importance, config.pst, context.seed);
  const own = new Set(scored.flatMap(({ parameters }) => parameters));
  const trainable =
    importance === 'pst'
      ? [...own, ...headParameters(bundle.model)]
      : [...new Set([...parameterNames(bundle.model), ...own])];
  const isScore = (name: string): boolean => own.has(name) && !bundle.model.graph.values.has(name);
  const masks = new Map(scored.map(({ name, rows, columns }) => [name, new Float32Array(rows * columns).fill(1)]));
  const noise = new Map(scored.map(({ name, rows, columns }) => [name, new Float32Array(rows * columns)]));
  const random = new Random(context.seed);

  const read =
    (trainer: Trainer) =>
    (name: string): Float32Array =>
      trainer.slabs.has(name)
        ? trainer.parameter(name).weight
        : (model.graph.value(name).constant!.data as Float32Array);
  const remask = (trainer: Trainer, due: number): void => {
    const scores = new Map(scored.map((weight) => [weight.name, weight.scores(read(trainer))]));
    const found = masksFor(
      matricesOf(bundle, entries, ({ weight }) => scores.get(weight)!),
      config,
      due,
    );
    for (const [name, mask] of found) masks.get(name)!.set(mask);
    if (phases.prunesAfter(trainer.step)) context.log('info', `step ${trainer.step}: ${describe(found)}`);
  };
  const hooks = (trainer: Trainer): TrainerHooks => ({
    afterUpdate(step) {
      if (importance === 'l0') for (const values of noise.values()) fillLogistic(values, random);
      const due = phases.dueAfter(step);
      if (due !== undefined) remask(trainer, due);
    },
    memory: new Map<string, Float32Array | Uint8Array>([
      ...masks,
      ...(importance === 'l0' ? [...noise].map(([name, values]) => [`noise/${name}`, values] as const) : []),
      ['random', random.bytes],
    ]),
  });
  const feeds = (): Record<string, HostTensor> =>
    Object.fromEntries(
      scored.flatMap(({ name, rows, columns, maskInput, noiseInput }) => {
        const tensor = (data: Float32Array): HostTensor => ({ dtype: 'float32', dims: [rows, columns], data });
        return [
          [maskInput, tensor(masks.get(name)!)],
          ...(noiseInput ? [[noiseInput, tensor(noise.get(name)!)]] : []),
        ] as [string, HostTensor][];
      }),
    );
  const withPenalty: TaskLoss = {
    ...loss,
    loss: (build, outputs) => build.op('Add', [loss.loss(build, outputs), l0Penalty(build, scored, config.l0Penalty)]),
  };
  const scoreRate =
    config.scoreLearningRate ?? (importance === 'pst' ? config.optimizer.learningRate : FREE_SCORE_RATE);
  const mayKeep = completion(phases);
  const options = {
    manifest,
    model,
    trainable,
    loss: importance === 'l0' ? withPenalty : loss,
    data,
    config,
    feeds,
    learningRateFactor: (name: string) =>
      isScore(name) && !isUpdate(name) ? scoreRate / config.optimizer.learningRate : 1,
    hooks: (trainer: Trainer) => mayKeep.watch(hooks(trainer)),
    mayKeep: mayKeep.isComplete,
  };
  return trainOn(options, context, ({ trainer, ...outcome }) => {
    return {
      ...outcome,
      ...finished(bundle, folded(bundle, trainer, scored, masks, read(trainer)), entries, config),
      recoveryFrom: phases.recoveryFrom,
    };
  });
}

/** Of scores that stand alone. PST's move the ranking of weights of a few hundredths: they want the rate of weights. */
const FREE_SCORE_RATE = 0.01;

/** PST's U and V change weights, not scores. */
const isUpdate = (name: string): boolean => /\.pst_[uv]$/.test(name);

/** The plain model with mask * W' in place of every reparameterized weight. */
function folded(
  bundle: Bundle,
  trainer: Trainer,
  scored: readonly ScoredWeight[],
  masks: ReadonlyMap<string, Float32Array>,
  read: (name: string) => Float32Array,
): Bundle['model'] {
  const model = clone(bundle.model);
  for (const { name } of trainer.slabs.slots) {
    const value = model.graph.values.get(name);
    if (value?.constant) value.constant = Tensor.float32(value.constant.dims, read(name).slice());
  }
  for (const weight of scored) {
    const mask = masks.get(weight.name)!;
    const values = weight.weights(read).map((value, i) => (mask[i] ? value : 0));
    model.graph.value(weight.name).constant = Tensor.float32([weight.rows, weight.columns], values);
  }
  return model;
}

/**
 * The lottery ticket (Frankle & Carbin 2019; rewinding to step k as in Frankle et al. 2020): dense training finds the
 * masks, the kept weights go back to what they were after step k, and the subnetwork trains alone.
 */
async function afterRewind(run: Run, rewind: NonNullable<PruneConfig['rewind']>): Promise<UnstructuredResult> {
  const { config, context, bundle, data, loss, entries } = run;
  const { manifest, model } = bundle;
  const early = clone(model);
  const dense = { ...config, epochs: rewind.epochs, keepBest: false };
  const hooks = ({ slabs: { slots } }: Trainer): TrainerHooks => {
    const kept = new Map(slots.map(({ name, weight }) => [name, weight.slice()]));
    for (const { name, dims } of slots) early.graph.value(name).constant = Tensor.float32(dims, kept.get(name)!);
    return {
      afterUpdate(step) {
        if (step === rewind.toStep) for (const { name, weight } of slots) kept.get(name)!.set(weight);
      },
      memory: kept,
    };
  };
  const options = { manifest, model, trainable: parameterNames(model), loss, data, config: dense, hooks };
  const masks = await trainOn(options, { ...context, checkpoints: `${context.checkpoints}/dense` }, ({ trainer }) =>
    masksFor(
      matricesOf(bundle, entries, ({ weight }) => magnitudeScores(trainer.parameter(weight).weight)),
      config,
      1,
    ),
  );
  context.log('info', `dense training found the ticket: ${describe(masks)}; weights rewound to step ${rewind.toStep}`);
  const ticket = { manifest, model: early, trainable: parameterNames(early), loss, data, config };
  const setMasks = (trainer: Trainer): TrainerHooks => {
    for (const [name, mask] of masks) trainer.setMask(name, mask);
    return {};
  };
  return trainOn({ ...ticket, hooks: setMasks }, context, ({ trainer, ...outcome }) => ({
    ...outcome,
    ...finished(bundle, trainer.exportModel(), entries, config),
    recoveryFrom: 0,
  }));
}

function matricesOf(
  { model }: Bundle,
  entries: readonly ComponentEntry[],
  scoresOf: (entry: ComponentEntry) => Float32Array,
): (ScoredMatrix & { readonly component: PrunableComponent })[] {
  return entries.map((entry) => {
    const [rows, columns] = model.graph.value(entry.weight).shape as [number, number];
    const component = entry.component as PrunableComponent;
    return { name: entry.weight, layer: entry.layer ?? -1, rows, columns, scores: scoresOf(entry), component };
  });
}

/** Masks for a share `due` of the targets; components with targets of their own are thresholded apart. */
function masksFor(
  matrices: readonly (ScoredMatrix & { readonly component: PrunableComponent })[],
  config: PruneConfig,
  due: number,
): Map<string, Uint8Array> {
  const byTarget = new Map<number, (typeof matrices)[number][]>();
  for (const matrix of matrices) {
    const target = targetOf(matrix.component, config);
    byTarget.set(target, [...(byTarget.get(target) ?? []), matrix]);
  }
  const masks = [...byTarget].flatMap(([target, group]) => [
    ...masksFromScores(group, target * due, patternOf(config), config.scope),
  ]);
  return new Map(masks);
}

export function patternOf({ granularity }: PruneConfig): MaskPattern {
  if (isStructured(granularity)) throw invalid('prune.granularity', `${granularity.type} is structured pruning.`);
  const { type, ...rest } = granularity;
  return { kind: type, ...rest } as MaskPattern;
}

function finished(
  bundle: Bundle,
  model: Bundle['model'],
  entries: readonly ComponentEntry[],
  config: PruneConfig,
): Pick<UnstructuredResult, 'bundle' | 'sparsity'> {
  const detail = { importance: importanceOf(config), granularity: config.granularity, target: config.target };
  const provenance = [...bundle.manifest.provenance, { step: 'prune', detail }];
  const manifest = refreshManifest(bundle.manifest, model, { provenance });
  const sparsity = entries.map(({ component, layer = -1, weight }) => ({
    component,
    layer,
    zeros: manifest.sparsity[weight] ?? 0,
  }));
  return { bundle: { ...bundle, model, manifest }, sparsity };
}

/** Whether the target has been reached, so that weights may be kept as the best. */
function completion(phases: PruningPhases): {
  isComplete: () => boolean;
  watch: (hooks: TrainerHooks) => TrainerHooks;
} {
  let complete = false;
  return {
    isComplete: () => complete,
    watch: (hooks) => ({
      ...hooks,
      afterUpdate(step) {
        hooks.afterUpdate?.(step);
        complete = phases.isComplete(step);
      },
    }),
  };
}

function addTaylor(sum: Float32Array, trainer: Trainer, name: string): void {
  const { weight, gradient, size } = trainer.parameter(name);
  for (let i = 0; i < size; i++) sum[i] += weight[i] * gradient[i];
}

/** Random scores grow no mask back: what is zero already goes first. */
const keepZerosLast = (scores: Float32Array, weights: Float32Array): Float32Array =>
  scores.map((score, i) => (weights[i] === 0 ? -1 : score));

/** log u - log(1 - u) at the middle u of each of 2^16 equal slices of (0, 1). */
const LOGISTIC = Float32Array.from({ length: 2 ** 16 }, (_, i) => Math.log((i + 0.5) / (2 ** 16 - i - 0.5)));

/** The noise of the concrete distribution, one of its 2^16 quantiles for each half of a draw: every step needs millions. */
function fillLogistic(values: Float32Array, random: Random): void {
  for (let i = 0; i < values.length; i += 2) {
    const bits = random.uint32();
    values[i] = LOGISTIC[bits >>> 16];
    values[i + 1] = LOGISTIC[bits & 0xffff]; // beyond the end of an odd length, where it is lost
  }
}

function describe(masks: ReadonlyMap<string, Uint8Array>): string {
  const zeros = [...masks.values()].reduce((sum, mask) => sum + maskSparsity(mask) * mask.length, 0);
  const total = [...masks.values()].reduce((sum, mask) => sum + mask.length, 0);
  return `${((100 * zeros) / total).toFixed(1)} % of ${total} weights pruned`;
}
