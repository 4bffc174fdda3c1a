/** @file Another head on the same body: a sentence encoder becomes a classifier, a classifier gets other labels. */
import type { Bundle } from '../bundle/bundle';
import type { Task } from '../bundle/manifest';
import { unsupported } from '../errors';
import { headFor, TRANSFORMER_ARCHITECTURES } from './config';
import { transformerConfigOf } from './export';
import { manifestFor } from './import';
import { buildTransformer } from './transformer';
import { freshWeights } from './weights';

export interface NewHead {
  readonly task: Task;
  /** Label names in class order; empty for tasks without classes. */
  readonly labels: readonly string[];
  readonly seed: number;
}

/**
 * The bundle with a head for `task`. Parameters of the body are kept; those that the old head has in the same shape
 * too, unless the labels change: then the classifier starts fresh.
 * @returns the bundle and the names of fresh parameters (empty when the bundle fits as it is)
 * @throws unsupported `model.head` for a model that none of our transformer builders made
 */
export function replaceHead(bundle: Bundle, { task, labels, seed }: NewHead): { bundle: Bundle; fresh: string[] } {
  const { manifest, model } = bundle;
  const sameLabels = bundle.labels.length === labels.length && labels.every((label, i) => label === bundle.labels[i]);
  if (manifest.task === task && sameLabels) return { bundle, fresh: [] };
  if (!TRANSFORMER_ARCHITECTURES.some((name) => name === manifest.architecture)) {
    throw unsupported(
      'model.head',
      `The ${manifest.architecture} model is for ${manifest.task} with ${bundle.labels.length} labels and cannot be given ` +
        `another head; the data set needs ${task} with ${labels.length} labels.`,
    );
  }
  const config = transformerConfigOf(bundle);
  const initial = freshWeights(seed, config.initializerRange);
  const outputs = new Set(
    manifest.components.filter((entry) => entry.component === 'classifier').map((entry) => entry.weight),
  );
  const replaced = (name: string): boolean =>
    !sameLabels && (outputs.has(name) || outputs.has(name.replace(/\.bias$/, '.weight')));
  const fresh: string[] = [];
  const built = buildTransformer(config, headFor(task, labels.length), (name, dims, role) => {
    const kept = model.graph.values.get(name)?.constant;
    if (kept && !replaced(name)) return kept;
    fresh.push(name);
    return initial(name, dims, role);
  });
  const { name, architecture, maxLength, tokenizer, config: json, provenance } = manifest;
  const step = { step: 'replace-head', detail: { task, labels: labels.length, seed, fresh } };
  const basis = { name, architecture, task, maxLength, config: json, provenance: [...provenance, step] };
  return {
    bundle: {
      ...bundle,
      model: built.model,
      labels,
      manifest: manifestFor(built, { ...basis, ...(tokenizer && { tokenizer }) }),
    },
    fresh,
  };
}
