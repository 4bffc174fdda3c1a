/** @file ONNX files of other toolchains into bundles. */
import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { readTokenizerFiles } from '../bundle/bundle';
import { weightFacts } from '../bundle/describe';
import type { Architecture, ComponentEntry, Manifest, Structure, Task } from '../bundle/manifest';
import { checkVocabulary } from '../bundle/validate';
import { invalid, ModelpressError } from '../errors';
import type { Model } from '../graph';
import { readModelFile } from '../onnx';
import { quantizedNode } from '../quantize/sites';
import { loadTokenizer } from '../text/tokenizer';
import { adopt } from './adopt';
import type { Adopted } from './adopt';
import { maxLengthOf, structureOf } from './config';
import { chooseOutput, checkInputs, decideTask, maxLengthFrom, nameDimensions } from './foreign-graph';
import { readConfigJson } from './read-config';
import type { HuggingFaceConfig } from './config-huggingface';
import { configToHuggingFace, labelFields } from './config-huggingface-export';
import { componentsOf, structureFrom, tryAnatomy } from './detect';
import type { ImportedModel } from './import';
import { normaliseForeign } from './normalise-foreign';

export interface ImportOnnxOptions {
  /** Folder of the tokenizer; default: the model's folder. */
  readonly tokenizerDir?: string;
  /** Label names in class order; default: those of a config.json beside the model, else `LABEL_0`, ... */
  readonly labels?: readonly string[];
  /** Default: told from config.json, else from the output. */
  readonly task?: Task;
  readonly name?: string;
  /** Longest text in tokens; default: told from the position table, else config.json. */
  readonly maxLength?: number;
  /** Keep the file's own graph even if it is one of our architectures. */
  readonly keepGraph?: boolean;
}

/** Stages that need no component map. */
export const STAGES_WITHOUT_STRUCTURE =
  'evaluate, benchmark, quantize, finetune, distill from logits, and prune of single weights';

/** Stages that build the model anew. */
const NEEDS_OWN_GRAPH = 'removal of layers and hidden dimensions, layer selection and export to Hugging Face';

/** The import so far: what goes into the manifest besides what the file itself says. */
interface Recognised {
  readonly model: Model;
  readonly output: string;
  readonly architecture: Architecture;
  readonly components: readonly ComponentEntry[];
  readonly structure?: Structure;
  readonly config: HuggingFaceConfig;
  readonly maxLength?: number;
  readonly warnings: readonly string[];
}

/**
 * Imports an ONNX file and finds its structure. A graph that is BERT, RoBERTa, DistilBERT or GPT-2 is built anew from
 * its weights (and compared), so that every stage works on it. Any other keeps its graph, with a component map where
 * its structure was found; a warning says why and which stages remain possible.
 * @param path model.onnx, or a folder that holds one (also as onnx/model.onnx)
 * @throws `import.*` for a model that is no text encoder or decoder, `onnx.*`, `tokenizer.*`, `bundle.vocabulary`
 */
export async function importOnnx(path: string, options: ImportOnnxOptions = {}): Promise<ImportedModel> {
  const { file, dir } = await locate(path);
  const foreign = await readModelFile(file);
  const json = (await readConfigJson(dir)) ?? {};
  checkInputs(foreign.graph);
  nameDimensions(foreign.graph);
  const { task, labels } = decideTask(foreign.graph, options, json);
  const outputName = chooseOutput(foreign, task, labels);
  normaliseForeign(foreign);

  const tokenizerDir = options.tokenizerDir ?? dir;
  const tokenizerFiles = await readTokenizerFiles(tokenizerDir);
  const tokenizer = tokenizerFiles.size > 0 ? await loadTokenizer(tokenizerDir) : undefined;
  const basis = { task, labels, output: outputName, padId: padIdFrom(tokenizer, json), json };
  const recognised = await recognise(foreign, basis, options.keepGraph ?? false);
  const { model, output, architecture, components, structure, config } = recognised;
  checkVocabulary(tokenizer?.vocabularySize ?? 0, structure?.vocabulary);
  const warnings = [...recognised.warnings];
  if (!tokenizer) warnings.push('The model has no tokenizer: only stages that need no text accept it.');
  // Stages that need float weights refuse such a model at submit.
  const quantized = quantizedNode(model.graph) ? { quantized: true } : {};
  const maxLength =
    options.maxLength ?? recognised.maxLength ?? maxLengthFrom(foreign.graph, structure, json, warnings);
  const manifest: Manifest = {
    format: 1,
    name: options.name ?? basename(resolve(dir)),
    architecture,
    task,
    inputs: model.graph.inputs.map((input) => input.name),
    output,
    maxLength,
    ...(tokenizer ? { tokenizer: { kind: tokenizer.kind, padId: tokenizer.padId } } : {}),
    components: [...components],
    ...(structure ? { structure } : {}),
    ...weightFacts(model, components),
    config: { ...config, ...(labels.length > 0 ? labelFields(labels) : {}) },
    provenance: [
      { step: 'import', detail: { from: 'onnx', producer: foreign.producer, ...quantized, warnings: [...warnings] } },
    ],
  };
  return { bundle: { model, manifest, labels, tokenizerFiles }, warnings };
}

interface Basis {
  readonly task: Task;
  readonly labels: readonly string[];
  readonly output: string;
  readonly padId: number | undefined;
  readonly json: HuggingFaceConfig;
}

/** The model in our own form where it is one of ours, else its graph with what was found in it. */
async function recognise(model: Model, basis: Basis, keepGraph: boolean): Promise<Recognised> {
  const { task, labels, output, padId, json } = basis;
  const foreign = { model, output, architecture: 'foreign', config: json } as const;
  const anatomy = tryAnatomy(model.graph);
  if (anatomy instanceof ModelpressError) {
    const warning = `${anatomy.message} Still possible: ${STAGES_WITHOUT_STRUCTURE}.`;
    return { ...foreign, components: [], warnings: [warning] };
  }
  // The decoder of a language model is its token table again, whatever the exporter made of it.
  const decodes = task === 'masked-lm' || task === 'causal-lm';
  const components = componentsOf(decodes ? { ...anatomy, classifier: undefined, pooler: undefined } : anatomy);
  const found = { ...foreign, components, structure: structureFrom(anatomy) };
  if (keepGraph) return { ...found, warnings: [] };
  const adopted = await tryAdopt(model, anatomy, { task, labels: labels.length, padId, output });
  if (adopted instanceof ModelpressError) {
    return {
      ...found,
      warnings: [`The graph stays as it is (${adopted.message}): ${NEEDS_OWN_GRAPH} are not possible.`],
    };
  }
  const { built, config } = adopted;
  return {
    model: built.model,
    output: built.output,
    architecture: config.architecture,
    components: built.components,
    structure: structureOf(config),
    config: configToHuggingFace(json, config, task, labels),
    maxLength: maxLengthOf(config),
    warnings: [],
  };
}

async function tryAdopt(...args: Parameters<typeof adopt>): Promise<Adopted | ModelpressError> {
  try {
    return await adopt(...args);
  } catch (error) {
    if (error instanceof ModelpressError && error.kind !== 'internal') return error;
    throw error;
  }
}

function padIdFrom(tokenizer: { readonly padId: number } | undefined, json: HuggingFaceConfig): number | undefined {
  const stated = json['pad_token_id'];
  return typeof stated === 'number' ? stated : tokenizer?.padId;
}

async function locate(path: string): Promise<{ file: string; dir: string }> {
  if ((await stat(path)).isFile()) return { file: path, dir: join(path, '..') };
  const found = ['model.onnx', join('onnx', 'model.onnx')]
    .map((name) => join(path, name))
    .find((name) => existsSync(name));
  if (found) return { file: found, dir: path };
  const names = (await readdir(path)).filter((name) => name.endsWith('.onnx'));
  if (names.length === 1) return { file: join(path, names[0]), dir: path };
  throw invalid('import.no-model', `The folder has ${names.length} ONNX files and none is called model.onnx.`, {
    file: 'model.onnx',
  });
}
