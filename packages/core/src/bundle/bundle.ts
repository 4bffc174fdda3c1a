/** @file A model bundle on disk: model.onnx, manifest.json, labels.json and tokenizer files in one folder. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { invalid, ModelpressError } from '../errors';
import type { Model } from '../graph';
import { readModelFile, writeModelFile } from '../onnx';
import type { RuntimeName } from '../runtime/runtime';
import { loadTokenizer } from '../text/tokenizer';
import { TOKENIZER_FILES } from '../text/tokenizer-files';
import { manifestSchema } from './manifest';
import type { Manifest, NativeForm } from './manifest';
import { validateBundle } from './validate';

export const MODEL_FILE = 'model.onnx';
/** What the DAN runtime loads: n-grams, table and layers of a `dan` model in one file. */
export const DAN_FILE = 'model.dan';
/** The model for the native runtime alone, where the manifest says that there is one. */
export const NATIVE_FILE = 'native.onnx';
export const MANIFEST_FILE = 'manifest.json';
/** A JSON array of label names in class-index order; absent for tasks without classes. */
export const LABELS_FILE = 'labels.json';

/** Weights beyond this go to a side file, well below protobuf's limit of 2 GiB for one file. */
const SINGLE_FILE_BYTES = 1.5 * 2 ** 30;
/** With a side file, smaller tensors stay in model.onnx. */
const SIDE_FILE_TENSOR_BYTES = 4096;

/** Tokenizer files by name. */
export type TokenizerFiles = ReadonlyMap<string, Uint8Array>;

/** Everything in a bundle. */
export interface Bundle {
  readonly model: Model;
  readonly manifest: Manifest;
  /** Empty for tasks without classes. */
  readonly labels: readonly string[];
  readonly tokenizerFiles: TokenizerFiles;
}

/**
 * Reads a bundle and checks that its parts agree.
 * @throws `bundle.missing`, `bundle.manifest`, `bundle.labels`, the errors of `validateBundle`, `onnx.*`, `tokenizer.*`
 */
export async function readBundle(dir: string): Promise<Bundle> {
  const manifest = await readManifest(dir);
  const [model, labels, tokenizerFiles] = await Promise.all([
    readModelFile(requireFile(dir, MODEL_FILE)),
    readLabels(dir),
    readTokenizerFiles(dir),
  ]);
  const bundle = { model, manifest, labels, tokenizerFiles };
  validateBundle(bundle, readsTokens(manifest) ? (await loadTokenizer(dir)).vocabularySize : undefined);
  return bundle;
}

/**
 * Writes a bundle into a folder (made if need be), the manifest last, so that a folder with one is complete. A native
 * form belongs to the weights that it was made from, so it is left behind.
 */
export async function writeBundle(dir: string, bundle: Bundle): Promise<void> {
  const { model, labels, tokenizerFiles } = bundle;
  const { native: _, ...manifest } = manifestSchema.parse(bundle.manifest);
  validateBundle(bundle);
  await mkdir(dir, { recursive: true });
  await writeGraph(dir, MODEL_FILE, model);
  if (labels.length > 0) await writeJson(join(dir, LABELS_FILE), labels);
  for (const [name, content] of tokenizerFiles) await writeFile(join(dir, name), content);
  await writeJson(join(dir, MANIFEST_FILE), manifest);
}

/** Adds the form for the native runtime to a complete bundle, the manifest last. */
export async function addNativeForm(dir: string, model: Model, forms: NativeForm['forms']): Promise<void> {
  const manifest = await readManifest(dir);
  await writeGraph(dir, NATIVE_FILE, model);
  const native: NativeForm = { file: NATIVE_FILE, pack: 1, forms };
  await writeJson(join(dir, MANIFEST_FILE), manifestSchema.parse({ ...manifest, native }));
}

/** The file of a bundle that a runtime loads. */
export const modelFileFor = ({ native }: Pick<Manifest, 'native'>, runtime: RuntimeName): string =>
  runtime === 'native' && native ? native.file : MODEL_FILE;

function writeGraph(dir: string, file: string, model: Model): Promise<void> {
  const bytes = model.graph.initializers.reduce((sum, value) => sum + value.constant!.bytes.byteLength, 0);
  const options = bytes > SINGLE_FILE_BYTES ? { externalDataAbove: SIDE_FILE_TENSOR_BYTES } : {};
  return writeModelFile(model, join(dir, file), options);
}

/** Whether a bundle has a tokenizer of tokens; a DAN reads n-grams, which model.dan finds. */
export const readsTokens = ({ tokenizer }: Manifest): boolean => tokenizer !== undefined && tokenizer.kind !== 'ngram';

/** Reads manifest.json alone. */
export async function readManifest(dir: string): Promise<Manifest> {
  const parsed = manifestSchema.safeParse(await readJson(requireFile(dir, MANIFEST_FILE), MANIFEST_FILE));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.join('.') ?? '';
  throw invalid('bundle.manifest', `manifest.json: ${field}: ${issue?.message}.`, { file: MANIFEST_FILE, field });
}

/** Reads labels.json; an empty list when there is none. */
export async function readLabels(dir: string): Promise<readonly string[]> {
  if (!existsSync(join(dir, LABELS_FILE))) return [];
  const parsed = z.array(z.string()).safeParse(await readJson(join(dir, LABELS_FILE), LABELS_FILE));
  if (parsed.success) return parsed.data;
  throw invalid('bundle.labels', 'labels.json must be a list of label names in class order.', { file: LABELS_FILE });
}

/** The tokenizer files of a bundle or checkpoint folder, as they are. */
export async function readTokenizerFiles(dir: string): Promise<TokenizerFiles> {
  const present = TOKENIZER_FILES.filter((name) => existsSync(join(dir, name)));
  return new Map(await Promise.all(present.map(async (name) => [name, await readFile(join(dir, name))] as const)));
}

/** Sizes on disk in bytes: the model with its side files (of a DAN the file that it runs from), and all of the folder. */
export interface BundleBytes {
  readonly model: number;
  readonly total: number;
}

export async function bundleBytes(dir: string): Promise<BundleBytes> {
  const sum = async (names: readonly string[]): Promise<number> => {
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(dir, name))).size));
    return sizes.reduce((total, size) => total + size, 0);
  };
  const files = await filesOf(dir);
  return { model: await sum(modelFilesAmong(files)), total: await sum(files) };
}

/** Names of the files that a model runs from: model.onnx with its side files, or model.dan. */
export const modelFiles = async (dir: string): Promise<string[]> => modelFilesAmong(await filesOf(dir));

const filesOf = async (dir: string): Promise<string[]> =>
  (await readdir(dir, { withFileTypes: true })).filter((entry) => entry.isFile()).map(({ name }) => name);

const modelFilesAmong = (names: readonly string[]): string[] =>
  names.includes(DAN_FILE) ? [DAN_FILE] : names.filter((name) => name.startsWith(MODEL_FILE));

function requireFile(dir: string, name: string): string {
  const path = join(dir, name);
  if (existsSync(path)) return path;
  throw invalid('bundle.missing', `The bundle has no ${name}.`, { file: name });
}

async function readJson(path: string, file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new ModelpressError('invalid', 'bundle.json', `${file} is not JSON.`, { file }, { cause });
  }
}

const writeJson = (path: string, value: unknown): Promise<void> =>
  writeFile(path, `${JSON.stringify(value, null, 2)}\n`);
