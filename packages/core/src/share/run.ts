/** @file Sharing in a bundle: matrices by layers, or values by weights, and recovery training. */
import { refreshManifest } from '../bundle';
import type { Bundle, Manifest } from '../bundle';
import type { CodebookEntry, ComponentEntry } from '../bundle/manifest';
import { invalid, throwIfAborted } from '../errors';
import { recover } from '../finetune/recovery';
import type { Recovery } from '../finetune/recovery';
import type { TokenizedData, TrainingContext } from '../finetune/train-on';
import { Tensor } from '../graph';
import type { Model } from '../graph';
import { parameterNames } from '../passes';
import { refuseQuantized } from '../quantize/sites';
import type { StageContext } from '../stages/stage';
import type { TrainerHooks } from '../train/trainer';
import { codebookBytes, decoded, makeCodebook, recentred, relativeError, spread, sumByCentroid } from './codebook';
import type { Codebook } from './codebook';
import type { CodebookSharing, LayerSharing, ShareConfig } from './config';
import { codebookNames, storeAsCodebook } from './decode';
import { shareLayers } from './layers';
import type { SharedMatrix } from './layers';

/** Name of this step in a model's provenance. */
export const SHARE_STEP = 'share';

/** One weight that is stored as codes now. */
export interface CodedWeight {
  readonly weight: string;
  readonly component: ComponentEntry['component'];
  readonly layer: number | undefined;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Frobenius norm of the difference over that of the weight, before any training. */
  readonly relativeError: number;
}

export interface ShareResult {
  readonly bundle: Bundle;
  readonly shared: readonly SharedMatrix[];
  readonly coded: readonly CodedWeight[];
  readonly recovery: Recovery | undefined;
}

export interface ShareOptions {
  readonly config: ShareConfig;
  readonly context: StageContext & TrainingContext;
  /** Bundle folder of the model as it is; teaches in recovery. */
  readonly original: string;
  /** Needed by recovery training. */
  readonly data: TokenizedData | undefined;
}

/**
 * Shares matrices or values of a bundle in place and trains it to recover where the config asks for that.
 * @throws invalid `share.*`, `quantize.already-quantized`, `cancelled`
 */
export async function shareBundle(bundle: Bundle, options: ShareOptions): Promise<ShareResult> {
  refuseQuantized(bundle.model.graph);
  const { share } = options.config;
  return share.type === 'layers' ? acrossLayers(bundle, share, options) : asCodebooks(bundle, share, options);
}

async function acrossLayers(bundle: Bundle, sharing: LayerSharing, options: ShareOptions): Promise<ShareResult> {
  const { model, manifest } = bundle;
  const depth = manifest.structure?.layers.length;
  if (depth === undefined || depth < 2) {
    throw invalid('share.group', `The model "${manifest.name}" has no layers that could share matrices.`);
  }
  const { components, shared } = shareLayers(model.graph, manifest.components, sharing, depth);
  const { groups, components: chosen } = sharing;
  const detail = { type: sharing.type, groups, components: chosen };
  const made = { ...bundle, manifest: updated(manifest, model, detail, { components }) };
  if (options.config.epochs === 0) return { bundle: made, shared, coded: [], recovery: undefined };
  const recovery = await recover(made, { ...options, data: options.data! });
  return { bundle: recovery.bundle, shared, coded: [], recovery };
}

/** A weight on its way to codes. */
interface Coding {
  readonly entry: ComponentEntry;
  readonly book: Codebook;
  readonly relativeError: number;
}

async function asCodebooks(bundle: Bundle, sharing: CodebookSharing, options: ShareOptions): Promise<ShareResult> {
  const { config, context } = options;
  const codings = await findCodebooks(bundle, sharing, context);
  const recovery = config.epochs === 0 ? undefined : await trainCentroids(bundle, sharing, codings, options);
  const trained = recovery?.bundle ?? bundle;
  const { model, manifest } = trained;
  for (const { entry, book } of codings) {
    const weight = model.graph.value(entry.weight);
    const isTrained = recovery !== undefined && entry.component !== 'embeddings';
    storeAsCodebook(model, weight, isTrained ? recentred(book, weight.constant!.data as Float32Array) : book);
  }
  model.graph.sort();
  const { bits, components } = sharing;
  const detail = { type: sharing.type, bits, components, weights: codings.length };
  const made = { ...trained, manifest: updated(manifest, model, detail, entriesOf(manifest, codings)) };
  return { bundle: made, shared: [], coded: codings.map(codedWeight), recovery };
}

async function findCodebooks(
  { model, manifest }: Bundle,
  { bits, components, rowsPerGroup }: CodebookSharing,
  context: StageContext,
): Promise<Coding[]> {
  const isChosen = ({ component }: ComponentEntry): boolean => components.some((chosen) => chosen === component);
  const chosen = [...new Map(manifest.components.filter(isChosen).map((entry) => [entry.weight, entry])).values()];
  const codings: Coding[] = [];
  for (const [i, entry] of chosen.entries()) {
    // Sorting a large table takes seconds: give cancellation and progress messages a turn.
    await new Promise(setImmediate);
    throwIfAborted(context.signal);
    context.progress({ fraction: (0.3 * i) / chosen.length, phase: `weight ${i + 1}/${chosen.length}` });
    const { constant } = model.graph.value(entry.weight);
    if (!constant?.is('float32') || constant.dims.length !== 2) continue;
    const [rows, columns] = constant.dims as [number, number];
    const shape = { rows, columns, bits, rowsPerGroup: Math.min(rows, rowsPerGroup ?? rows) };
    if (codebookBytes(shape) >= constant.bytes.byteLength) continue;
    const book = makeCodebook(constant.data, shape, context.seed);
    codings.push({ entry, book, relativeError: relativeError(book, constant.data) });
  }
  if (codings.length > 0) return codings;
  throw invalid('share.nothing', `No ${components.join(' or ')} of the model would become smaller as codes.`, {
    field: 'share.components',
  });
}

/**
 * Trains with every weight at its centroid: after each step's gradients are known, each weight gets the sum of those of
 * its cluster, so the optimizer moves a cluster as one. Embedding tables keep their centroids.
 */
function trainCentroids(
  bundle: Bundle,
  sharing: CodebookSharing,
  codings: readonly Coding[],
  options: ShareOptions,
): Promise<Recovery> {
  const { graph } = bundle.model;
  for (const { entry, book } of codings) {
    const value = graph.value(entry.weight);
    value.constant = Tensor.float32(value.constant!.dims, decoded(book));
  }
  const frozen = new Set(codings.filter(isTable).map(({ entry }) => entry.weight));
  const moving = codings.filter((coding) => !isTable(coding));
  const trainable =
    sharing.train === 'all'
      ? parameterNames(bundle.model).filter((name) => !frozen.has(name))
      : moving.map(({ entry }) => entry.weight);
  const hooks: NonNullable<Parameters<typeof recover>[1]['hooks']> = (trainer): TrainerHooks => ({
    afterGradients() {
      for (const { entry, book } of moving) {
        const { gradient } = trainer.parameter(entry.weight);
        spread(book, sumByCentroid(book, gradient), gradient);
      }
    },
  });
  return recover(bundle, { ...options, data: options.data!, trainable, hooks });
}

const isTable = ({ entry }: Coding): boolean => entry.component === 'embeddings';

function entriesOf(
  manifest: Manifest,
  codings: readonly Coding[],
): { components: ComponentEntry[]; codebooks: CodebookEntry[] } {
  const books = new Map(codings.map(({ entry, book }) => [entry.weight, book]));
  const codebooks = manifest.components.flatMap((entry): CodebookEntry[] => {
    const book = books.get(entry.weight);
    if (!book) return [];
    return [{ ...entry, dims: [book.rows, book.columns], bits: book.bits, ...codebookNames(entry.weight) }];
  });
  return {
    components: manifest.components.filter(({ weight }) => !books.has(weight)),
    codebooks: [...(manifest.codebooks ?? []), ...codebooks],
  };
}

function updated(
  manifest: Manifest,
  model: Model,
  detail: Readonly<Record<string, unknown>>,
  changes: Partial<Manifest>,
): Manifest {
  const step = { step: SHARE_STEP, detail };
  return refreshManifest(manifest, model, { ...changes, provenance: [...manifest.provenance, step] });
}

const codedWeight = ({ entry, book, relativeError: error }: Coding): CodedWeight => ({
  weight: entry.weight,
  component: entry.component,
  layer: entry.layer,
  bytesBefore: 4 * book.codes.length,
  bytesAfter: codebookBytes(book),
  relativeError: error,
});
