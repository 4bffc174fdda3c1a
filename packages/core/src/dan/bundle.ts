/** @file A DAN's bundle: model.dan for its own runtime beside model.onnx. */
import { closeSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DanClassifier, decodeDan, encodeDan } from '@modelpress/dan';
import type { DanModel } from '@modelpress/dan';
import { DAN_FILE } from '../bundle';
import type { Bundle, Manifest } from '../bundle';
import { ModelpressError } from '../errors';
import { manifestFor } from '../models';
import { buildDanNetwork } from './network';

/** A DAN takes any number of n-grams. */
export const MAX_NGRAMS = 1_000_000;
/** The system moves less than 2 GiB at once. */
const PIECE = 2 ** 30;

/** The bundle of a float32 DAN; `writeDan` adds its model.dan. */
export function danBundle(
  model: DanModel,
  { name, task, provenance }: Pick<Manifest, 'name' | 'task' | 'provenance'>,
): Bundle {
  const { labels, minOrder, maxOrder, dimension, hidden, pooling } = model;
  const built = buildDanNetwork(model);
  const id2label = Object.fromEntries(labels.map((label, index) => [index, label]));
  const manifest = manifestFor(built, {
    name,
    architecture: 'dan',
    task,
    maxLength: MAX_NGRAMS,
    tokenizer: { kind: 'ngram', padId: 0 },
    config: { minOrder, maxOrder, dimension, hidden, pooling, id2label },
    provenance,
  });
  return { model: built.model, manifest, labels, tokenizerFiles: new Map() };
}

/** Writes model.dan into a bundle's folder. */
export function writeDan(folder: string, model: DanModel): void {
  const bytes = encodeDan(model);
  const file = openSync(join(folder, DAN_FILE), 'w');
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, Math.min(PIECE, bytes.length - done));
  } finally {
    closeSync(file);
  }
}

/** Reads model.dan of a bundle. @throws invalid `dan.file` when it is absent or broken */
export function readDan(folder: string): DanModel {
  const path = join(folder, DAN_FILE);
  try {
    const bytes = new Uint8Array(statSync(path).size);
    const file = openSync(path, 'r');
    try {
      for (let done = 0; done < bytes.length;) {
        done += readSync(file, bytes, done, Math.min(PIECE, bytes.length - done), null);
      }
    } finally {
      closeSync(file);
    }
    return decodeDan(bytes);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ModelpressError('invalid', 'dan.file', `${DAN_FILE}: ${reason}`, { file: DAN_FILE }, { cause });
  }
}

/** The runtime of a bundle's model. @throws `dan.file`, limit `dan.memory` */
export function openDan(folder: string): DanClassifier {
  const model = readDan(folder);
  try {
    return new DanClassifier(model);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new ModelpressError('limit', 'dan.memory', cause.message, { file: DAN_FILE }, { cause });
  }
}
