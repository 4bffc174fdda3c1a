/** @file Models and data sets that a command is given: an id, a path, or a name on the hub. */
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { existsSync } from 'node:fs';
import { basename, extname, join, relative, resolve } from 'node:path';
import { fileFromPath, filesFromFolder } from '@modelpress/client';
import type { Client, Dataset, Model, UploadFile } from '@modelpress/client';
import { downloadFromHub, formatBytes, ModelpressError, parseHubReference } from '@modelpress/core';
import { tell } from './output';

export interface UploadContext {
  readonly client: Client;
  /** Downloads are kept below this folder. */
  readonly home: string;
  readonly hubToken: string | undefined;
  readonly signal?: AbortSignal;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * The model behind an argument: one that the server has (its id), an ONNX file, a folder, or `hf:owner/name`.
 * @throws `cli.path`; `hub.*`; the server's refusal
 */
export async function giveModel(argument: string, context: UploadContext, name?: string): Promise<Model> {
  if (UUID.test(argument)) return context.client.models.get(argument);
  const path = argument.startsWith('hf:') ? await download(argument, context) : requirePath(argument);
  const files = statSync(path).isDirectory() ? await filesFromFolder(path) : modelFiles(path);
  tell(`Uploading the model ${argument} (${sizeOf(path)}).`);
  const signal = context.signal ? { signal: context.signal } : {};
  const model = await context.client.models.upload({ name: name ?? nameOf(argument) }, files, signal);
  for (const warning of model.warnings) tell(`  ${warning}`);
  return model;
}

export interface DatasetChoices {
  readonly name?: string | undefined;
  /** `auto`: labelled data without a dev or test split gets one from train. */
  readonly splits?: 'auto';
}

/** The data set behind an argument: one that the server has (its id), a file, or a folder. @throws `cli.path` */
export async function giveDataset(
  argument: string,
  context: UploadContext,
  { name = nameOf(argument), ...choices }: DatasetChoices = {},
): Promise<Dataset> {
  if (UUID.test(argument)) return context.client.datasets.get(argument);
  const path = requirePath(argument);
  const files = statSync(path).isDirectory() ? allFiles(path) : [fileFromPath(path)];
  tell(`Uploading the data set ${argument} (${sizeOf(path)}).`);
  const signal = context.signal ? { signal: context.signal } : {};
  const dataset = await context.client.datasets.upload({ name, ...choices }, files, signal);
  for (const warning of dataset.info.warnings) tell(`  ${warning}`);
  return dataset;
}

async function download(reference: string, { home, hubToken, signal }: UploadContext): Promise<string> {
  const parsed = parseHubReference(reference);
  const folder = join(home, 'downloads', ...parsed.repository.split('/'), parsed.revision);
  mkdirSync(folder, { recursive: true });
  let last = '';
  await downloadFromHub(parsed, folder, {
    ...(hubToken === undefined ? {} : { token: hubToken }),
    ...(signal ? { signal } : {}),
    onProgress: ({ file, totalBytes }) => {
      if (file !== last) tell(`Downloading ${file} (${formatBytes(totalBytes)}).`);
      last = file;
    },
  });
  return folder;
}

/** An ONNX file and the side file that lies beside it. */
function modelFiles(path: string): UploadFile[] {
  const side = `${path}.data`;
  return [fileFromPath(path), ...(existsSync(side) ? [fileFromPath(side)] : [])];
}

/** The files of a folder and its subfolders, without hidden ones, under their relative names. */
function allFiles(folder: string): UploadFile[] {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => [path, relative(folder, path).replaceAll('\\', '/')] as const)
    .filter(([, name]) => !name.split('/').some((part) => part.startsWith('.')))
    .map(([path, name]) => fileFromPath(path, 'files', name));
}

function requirePath(path: string): string {
  if (existsSync(path)) return path;
  throw new ModelpressError('invalid', 'cli.path', `There is no file or folder ${path}.`, { file: path });
}

function sizeOf(path: string): string {
  if (!statSync(path).isDirectory()) return formatBytes(statSync(path).size);
  const entries = readdirSync(path, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile());
  return formatBytes(entries.reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0));
}

/** `sst2` for `data/sst2/` and `sst2.tsv`; the last part of a hub name. */
function nameOf(argument: string): string {
  const name = argument.startsWith('hf:') ? argument : resolve(argument);
  return basename(name, extname(name)).replace(/^hf:/, '').slice(0, 120);
}
