/** @file Bundles back to Hugging Face folders: the same names, shapes and layouts that transformers reads. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readBundle } from '../bundle/bundle';
import type { Bundle } from '../bundle/bundle';
import type { Manifest } from '../bundle/manifest';
import { unsupported } from '../errors';
import type { Tensor } from '../graph';
import { isWeight } from '../bundle/describe';
import { headFor, TRANSFORMER_ARCHITECTURES } from './config';
import type { Head, TransformerArchitecture, TransformerConfig } from './config';
import { isUnitLength } from './heads';
import { configFromHuggingFace } from './config-huggingface';
import { configToHuggingFace } from './config-huggingface-export';
import { toFloat32 } from './half';
import { BODY_PREFIX, joinParts, storedAs, transpose } from './huggingface-names';
import { parameterSpecs } from './parameters';
import type { ParameterSpec } from './parameters';
import { writeEmbeddingStyle } from './sentence-transformers';
import { writeSafetensors } from './safetensors';
import type { TensorToWrite } from './safetensors';

/**
 * Writes a bundle as a checkpoint: config.json, model.safetensors, tokenizer files, and how an encoder pools.
 * @throws `export.architecture`, `export.weights` or `export.shape` when transformers has no way to say what the model
 *   is (unequal layers, removed projections, quantized or factorized weights), with the reason
 */
export async function exportHuggingFace(bundleDir: string, outDir: string): Promise<void> {
  const bundle = await readBundle(bundleDir);
  const { manifest, labels, tokenizerFiles } = bundle;
  const config = transformerConfigOf(bundle);
  const json = configToHuggingFace(manifest.config, config, manifest.task, labels);
  const tensors = checkpointTensors(bundle, config);
  await mkdir(outDir, { recursive: true });
  writeSafetensors(join(outDir, 'model.safetensors'), tensors);
  await writeFile(join(outDir, 'config.json'), `${JSON.stringify(json, null, 2)}\n`);
  for (const [name, content] of tokenizerFiles) await writeFile(join(outDir, name), content);
  const head = headOf(bundle);
  if (head.task === 'embedding') {
    const { hidden } = config;
    await writeEmbeddingStyle(outDir, { hidden, maxLength: manifest.maxLength, normalize: head.normalize });
  }
}

/**
 * The configuration of a bundle that one of our transformer builders made, with the sizes it has now.
 * @throws `export.architecture`, `export.rewritten`
 */
export function transformerConfigOf({ manifest }: Pick<Bundle, 'manifest'>): TransformerConfig {
  const rewritten = rewrittenGraph(manifest);
  if (rewritten) throw unsupported('export.rewritten', rewritten);
  const architecture = transformerArchitecture(manifest.architecture);
  const original = configFromHuggingFace({ ...manifest.config, model_type: architecture });
  if (!manifest.structure) return original;
  const { hidden, layers, vocabulary, positions } = manifest.structure;
  return { ...original, hidden, layers, vocabulary, positions };
}

/** Why a model cannot be built anew from its weights: a stage rewrote its graph. Undefined where none did. */
export function rewrittenGraph({ name, components, codebooks }: Manifest): string | undefined {
  const inLayers = components.filter(({ layer }) => layer !== undefined).map(({ weight }) => weight);
  const change =
    (components.some(({ factor }) => factor) && 'factorized') ||
    (codebooks?.length && 'turned into codebooks') ||
    (new Set(inLayers).size < inLayers.length && 'shared by layers');
  if (!change) return undefined;
  return `Weights of "${name}" are ${change}, so its layers cannot be built anew: remove neurons, heads or layers, change the head and export to Hugging Face before that.`;
}

/** The head that a bundle's model has. */
export function headOf({ model, manifest, labels }: Bundle): Head {
  return headFor(manifest.task, labels.length, isUnitLength(model.graph.value(manifest.output)));
}

function transformerArchitecture(architecture: string): TransformerArchitecture {
  const found = TRANSFORMER_ARCHITECTURES.find((name) => name === architecture);
  if (found) return found;
  throw unsupported('export.architecture', `A ${architecture} model has no Hugging Face counterpart; use model.onnx.`);
}

/** Tensors under their checkpoint names; the graph must hold exactly the parameters that the architecture has. */
function checkpointTensors(bundle: Bundle, config: TransformerConfig): TensorToWrite[] {
  const { model, manifest } = bundle;
  const specs = parameterSpecs(config, headOf(bundle));
  const expected = new Set(specs.map((spec) => spec.name));
  const extra = model.graph.initializers.find((value) => isWeight(value) && !expected.has(value.name));
  if (extra) throw weightsRefusal(`it has weights "${extra.name}" that ${config.architecture} does not have`);
  const parameter = ({ name, dims }: ParameterSpec): Tensor<'float32'> => {
    const tensor = model.graph.values.get(name)?.constant;
    if (!tensor) throw weightsRefusal(`its "${name}" has been removed`);
    if (tensor.dims.join() !== dims.join()) {
      throw weightsRefusal(`its "${name}" is [${tensor.dims.join(',')}] instead of [${dims.join(',')}]`);
    }
    return toFloat32(tensor);
  };
  const parts = new Map<string, ParameterSpec[]>();
  for (const spec of specs) {
    const { name } = storedAs(config.architecture, spec.name, spec.role);
    parts.set(name, [...(parts.get(name) ?? []), spec]);
  }
  const bare = manifest.task === 'embedding' ? BODY_PREFIX[config.architecture] : '';
  return [...parts].map(([name, owners]) => {
    const tensor = inCheckpointLayout(owners.map(parameter), owners, config);
    return {
      name: name.slice(name.startsWith(bare) ? bare.length : 0),
      dtype: tensor.dtype,
      dims: tensor.dims,
      load: () => tensor,
    };
  });
}

function inCheckpointLayout(
  tensors: readonly Tensor<'float32'>[],
  [spec]: readonly ParameterSpec[],
  { architecture }: TransformerConfig,
): Tensor<'float32'> {
  if (tensors.length > 1) return joinParts(tensors);
  return storedAs(architecture, spec.name, spec.role).transposed ? transpose(tensors[0]) : tensors[0];
}

const weightsRefusal = (reason: string): Error =>
  unsupported(
    'export.weights',
    `The model cannot be written as a Hugging Face checkpoint: ${reason}. Use model.onnx instead.`,
  );
