/** @file Neuron, head and layer pruning while training, then physical removal. */
import type { Bundle } from '../bundle';
import type { Architecture, Structure } from '../bundle/manifest';
import { unsupported } from '../errors';
import type { TaskLoss } from '../finetune/loss';
import { trainOn } from '../finetune/train-on';
import type { TokenizedData, TrainingContext, TrainingOutcome, TrainingRunOptions } from '../finetune/train-on';
import { clone, Tensor } from '../graph';
import type { Model } from '../graph';
import {
  hiddenMaskFeeds,
  hiddenNormParameters,
  maskHidden,
  rewrittenGraph,
  TRANSFORMER_ARCHITECTURES,
} from '../models';
import { Random } from '../train/random';
import type { Trainer, TrainerHooks } from '../train/trainer';
import { parameterNames } from '../passes';
import { importanceOf } from './config';
import type { PruneConfig } from './config';
import { equalHeads } from './equal-heads';
import { shrinkForeign, straighten, tryShrinkForeign } from './foreign-shrink';
import { keepPlan, removedShare, selectNeurons } from './neurons';
import type { KeepPlan, LayerKind, NeuronKind, NeuronTargets } from './neurons';
import { hiddenFromMasks, hiddenMasks, neuronMasks, planFromMasks } from './neuron-masks';
import { NeuronMeter } from './neuron-meter';
import { effectiveTraining, pruningPhases } from './phases';
import { shrink } from './shrink';

export interface StructuredResult extends Omit<TrainingOutcome, 'trainer'> {
  readonly bundle: Bundle;
  readonly plan: KeepPlan;
  readonly removed: ReturnType<typeof removedShare>;
  /** Start of recovery, in epochs. */
  readonly recoveryFrom: number;
}

/** Trains with growing neuron masks, then removes what is masked. */
export async function pruneStructured(
  config: PruneConfig,
  context: TrainingContext,
  original: Bundle,
  data: TokenizedData,
  loss: TaskLoss,
): Promise<StructuredResult> {
  const structure = requireStructure(original);
  const isForeign = !isOurs(original.manifest.architecture);
  const bundle = isForeign ? straighten(original) : original;
  if (isForeign) await tryShrinkForeign(bundle, context.threads);
  const { manifest, model } = bundle;
  // A foreign graph is cut and not built anew: something of every block has to stay.
  const selection = isForeign ? { ...config, floor: Math.max(config.floor, Number.EPSILON) } : config;
  const targets = neuronTargets(config);
  const stepsPerEpoch = Math.ceil(data.train.epoch(0).count / config.accumulate);
  const phases = pruningPhases(config, stepsPerEpoch);
  /** 1 = removed; part of checkpoints, because no mask stands for a layer. */
  const removedLayers = new Uint8Array(structure.layers.length);
  let isComplete = false;
  let masks: (name: string) => Uint8Array | undefined = () => undefined;
  const stream = hiddenStream(config, bundle, (name) => masks(name));

  const hooks = (trainer: Trainer): TrainerHooks => {
    masks = (name) => trainer.mask(name);
    const meter = new NeuronMeter(bundle, kindsOf(targets), importanceOf(config), new Random(context.seed));
    return {
      afterGradients(step) {
        if (phases.measures(step)) meter.measure((name) => trainer.parameter(name));
      },
      afterUpdate(step) {
        isComplete = phases.isComplete(step);
        const due = phases.dueAfter(step);
        if (due === undefined) return;
        const groups = meter.groups();
        const chosen = keepPlan(structure, selectNeurons(groups, scaled(targets, due), selection), meter.pooler());
        const plan = config.heads === 'equal' ? equalHeads(structure, chosen, groups) : chosen;
        plan.layers.forEach((keep, layer) => {
          removedLayers[layer] = Number(keep === null);
        });
        for (const [name, mask] of neuronMasks(manifest.components, structure, plan)) trainer.setMask(name, mask);
        if (plan.hidden) for (const [name, mask] of hiddenMasks(bundle, plan.hidden)) trainer.setMask(name, mask);
        context.log('info', `step ${step}: ${describe(structure, plan)}`);
        meter.reset();
      },
      memory: new Map([...meter.sums(), ['removed layers', removedLayers]]),
    };
  };
  const training = effectiveTraining(config, stepsPerEpoch);
  const trainable = parameterNames(model);
  const options = { manifest, ...stream, trainable, loss, data, config: training, hooks };
  return trainOn({ ...options, mayKeep: () => isComplete }, context, ({ trainer, ...outcome }) => {
    const hidden = config.hidden > 0 ? hiddenFromMasks(bundle, masks) : undefined;
    const { layers: masked } = planFromMasks(manifest.components, structure, masks);
    const layers = masked.map((keep, layer) => (removedLayers[layer] ? null : keep));
    const plan: KeepPlan = { layers, ...(hidden && { hidden }) };
    const detail = { importance: importanceOf(config), granularity: config.granularity, target: config.target };
    const provenance = [...manifest.provenance, { step: 'prune', detail }];
    const trained = { ...bundle, model: withWeights(model, trainer), manifest: { ...manifest, provenance } };
    return {
      ...outcome,
      bundle: isForeign
        ? shrinkForeign(trained, plan)
        : shrink(trained, plan, { heads: config.heads === 'exact' ? 'exact' : 'padded' }),
      plan,
      removed: removedShare(structure, plan),
      recoveryFrom: phases.recoveryFrom,
    };
  });
}

/** The graph to train and what it is fed: with a mask over the residual stream where hidden dimensions go. */
function hiddenStream(
  { hidden }: PruneConfig,
  bundle: Bundle,
  maskOf: (name: string) => Uint8Array | undefined,
): Pick<TrainingRunOptions, 'model' | 'feeds'> {
  if (hidden === 0) return { model: bundle.model };
  const width = bundle.manifest.structure!.hidden;
  const [{ scale }] = hiddenNormParameters(bundle.model, width);
  const model = clone(bundle.model);
  maskHidden(model, width);
  return { model, feeds: () => hiddenMaskFeeds(maskOf(scale) ?? new Uint8Array(width).fill(1)) };
}

/** The model with what a trainer has made of its weights. */
function withWeights(model: Model, { slabs }: Trainer): Model {
  const trained = clone(model);
  for (const { name, dims, weight } of slabs.slots) {
    trained.graph.value(name).constant = Tensor.float32(dims, weight.slice());
  }
  return trained;
}

/** Whether one of our builders made the graph, and can make it anew at smaller sizes. */
export const isOurs = (architecture: Architecture): boolean =>
  TRANSFORMER_ARCHITECTURES.some((name) => name === architecture);

/** @throws unsupported `prune.no-structure` when the manifest does not describe a transformer, `export.rewritten` */
export function requireStructure({ manifest }: Bundle): Structure {
  const rewritten = rewrittenGraph(manifest);
  if (rewritten) throw unsupported('export.rewritten', rewritten);
  if (manifest.structure) return manifest.structure;
  throw unsupported(
    'prune.no-structure',
    `The structure of the ${manifest.architecture} model "${manifest.name}" is not known, so only single weights, n-of-m and blocks can be pruned.`,
  );
}

/**
 * Targets by neuron kind. W_Q and W_K are pruned in pairs; W_AO and W_O lose the rows that W_V's and W_I's neurons feed, and
 * columns only where they have targets of their own.
 */
export function neuronTargets({ granularity, target, targets, hidden }: PruneConfig): NeuronTargets {
  if (granularity.type === 'head' || granularity.type === 'layer')
    return above0({ [granularity.type]: target, hidden });
  const pick = (component: keyof typeof targets): number => targets[component] ?? target;
  const all: NeuronTargets = {
    query: Math.max(pick('W_Q'), targets.W_Q === undefined && targets.W_K !== undefined ? targets.W_K : 0),
    value: pick('W_V'),
    ffn: pick('W_I'),
    attentionOutputs: targets.W_AO ?? 0,
    ffnOutputs: targets.W_O ?? 0,
    hidden,
  };
  return above0(all);
}

const above0 = (targets: NeuronTargets): NeuronTargets =>
  Object.fromEntries(Object.entries(targets).filter(([, share]) => share > 0));

const kindsOf = (targets: NeuronTargets): NeuronKind[] => Object.keys(targets) as NeuronKind[];

const scaled = (targets: NeuronTargets, factor: number): NeuronTargets =>
  Object.fromEntries(Object.entries(targets).map(([kind, share]) => [kind, share * factor]));

function describe(structure: Structure, plan: KeepPlan): string {
  const shares = removedShare(structure, plan);
  const mean = (kind: LayerKind): number => (100 * shares.reduce((sum, layer) => sum + layer[kind], 0)) / shares.length;
  const percent = (kind: LayerKind): string => `${mean(kind).toFixed(0)} %`;
  const [attention, ffn] = [mean('attentionOutputs'), mean('ffnOutputs')];
  const outputs =
    attention + ffn > 0 ? `, ${percent('attentionOutputs')} of W_AO and ${percent('ffnOutputs')} of W_O outputs` : '';
  const hidden = plan.hidden ? `, ${structure.hidden - plan.hidden.dims.length} hidden dimensions` : '';
  return `pruned ${percent('query')} of query/key, ${percent('value')} of value dimensions, ${percent('ffn')} of FFN neurons${outputs}${hidden}`;
}
