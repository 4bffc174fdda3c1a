/** @file Uploaded files into a model bundle or a data set folder, by the importers of core. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  importDataset,
  importHuggingFace,
  importOnnx,
  invalid,
  LABELS_FILE,
  MANIFEST_FILE,
  readBundle,
  readLabels,
  writeBundle,
  type ImportedModel,
} from '@modelpress/core';
import { given } from '../common/page';
import type { ImportTasks } from './import-task';

type ModelTask = ImportTasks['model'];
type DatasetTask = ImportTasks['dataset'];

/**
 * Reads a bundle of ours, an ONNX file or a Hugging Face checkpoint, and writes it as a bundle.
 * @throws ModelpressError `upload.no-model`, `upload.two-models`, and whatever the importer refuses.
 */
export async function importModelFolder({ source, output, options }: ModelTask['task']): Promise<ModelTask['result']> {
  const { bundle, warnings } = await readUpload(source, options);
  await writeBundle(output, bundle);
  return { manifest: bundle.manifest, warnings };
}

async function readUpload(source: string, options: ModelTask['task']['options']): Promise<ImportedModel> {
  const names = await readdir(source);
  if (names.includes(MANIFEST_FILE)) {
    const bundle = await readBundle(source);
    return { bundle: { ...bundle, manifest: { ...bundle.manifest, name: options.name } }, warnings: [] };
  }
  const onnx = names.filter((name) => name.endsWith('.onnx'));
  const weights = names.filter((name) => name.endsWith('.safetensors'));
  if (onnx.length > 1 || (onnx.length === 1 && weights.length > 0)) {
    const message = `The upload has more than one model: ${[...onnx, ...weights].join(', ')}.`;
    throw invalid('upload.two-models', message, { field: 'files' });
  }
  const labels = options.labels ?? (names.includes(LABELS_FILE) ? await readLabels(source) : undefined);
  const settings = given({ name: options.name, task: options.task, labels });
  const [file] = onnx;
  if (file !== undefined) return importOnnx(join(source, file), settings);
  if (weights.length > 0) return importHuggingFace(source, settings);
  const message = 'The upload has neither an ONNX file nor *.safetensors (pickled weights are never read).';
  throw invalid('upload.no-model', message, { field: 'files' });
}

export async function importDatasetFiles({
  files,
  output,
  options,
}: DatasetTask['task']): Promise<DatasetTask['result']> {
  // Files with a split are all meant; without one, a folder was uploaded that may hold several versions of its data.
  const several = files.some(({ split }) => split !== undefined) ? 'parts' : 'versions';
  return { info: await importDataset({ ...withoutUndefined(options), source: files, several }, output) };
}

/** zod leaves keys that were not given as undefined, which the importer's options do not know. */
const withoutUndefined = ({ mapping, splits, ...rest }: DatasetTask['task']['options']) => ({
  ...given(rest),
  ...(mapping === undefined ? {} : { mapping: given(mapping) }),
  ...(splits === undefined ? {} : { splits: splits === 'auto' ? splits : given(splits) }),
});
