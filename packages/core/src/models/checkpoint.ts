/** @file The weights of a Hugging Face folder: one safetensors file, or several with an index. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { invalid, unsupported } from '../errors';
import type { Tensor } from '../graph';
import { SafetensorsFile } from './safetensors';
import type { TensorEntry } from './safetensors-header';

const SINGLE_FILE = 'model.safetensors';
const INDEX_FILE = 'model.safetensors.index.json';
const MAX_SHARDS = 1000;

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/** Named tensors on disk, read one at a time. Close it when done. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, Pick<TensorEntry, 'dtype' | 'dims'>>;
  /** @throws `safetensors.missing` */
  read(name: string): Tensor;
  close(): void;
}

/**
 * Opens the weights of a folder.
 * @throws `checkpoint.missing` without safetensors, `checkpoint.pickle` when only a pickled file is there,
 *   `checkpoint.index` when the index and the shards disagree, and the errors of `SafetensorsFile.open`
 */
export function openCheckpoint(dir: string): Checkpoint {
  const single = join(dir, SINGLE_FILE);
  if (existsSync(single)) return SafetensorsFile.open(single);
  if (existsSync(join(dir, INDEX_FILE))) return openSharded(dir);
  if (existsSync(join(dir, 'pytorch_model.bin'))) {
    throw unsupported(
      'checkpoint.pickle',
      'The checkpoint is a pickled pytorch_model.bin, which can run code when it is opened. Save it as safetensors first.',
      { file: 'pytorch_model.bin' },
    );
  }
  throw invalid('checkpoint.missing', `The folder has neither ${SINGLE_FILE} nor ${INDEX_FILE}.`, {
    file: SINGLE_FILE,
  });
}

/** Names of the shards of a sharded checkpoint, in the order of the index. */
export function shardNames(index: unknown): string[] {
  const parsed = indexSchema.safeParse(index);
  if (!parsed.success) throw indexError('it must have a "weight_map" from tensor names to file names');
  const names = [...new Set(Object.values(parsed.data.weight_map))];
  if (names.length > MAX_SHARDS) throw indexError(`it names ${names.length} files, more than ${MAX_SHARDS}`);
  const strange = names.find(
    (name) => name !== basename(name) || name.includes('\\') || !name.endsWith('.safetensors'),
  );
  if (strange !== undefined) throw indexError(`"${strange}" is not the name of a safetensors file beside it`);
  return names;
}

function openSharded(dir: string): Checkpoint {
  const index = readIndex(join(dir, INDEX_FILE));
  const shards = new Map<string, SafetensorsFile>();
  const close = (): void => shards.forEach((shard) => shard.close());
  try {
    for (const name of shardNames(index)) {
      if (!existsSync(join(dir, name))) throw indexError(`the file "${name}" is missing`);
      shards.set(name, SafetensorsFile.open(join(dir, name)));
    }
    const owners = new Map(Object.entries(indexSchema.parse(index).weight_map));
    checkIndex(owners, shards);
    const shardOf = (tensor: string): SafetensorsFile => {
      const shard = shards.get(owners.get(tensor) ?? '');
      if (!shard) throw invalid('safetensors.missing', `The checkpoint has no tensor "${tensor}".`, { tensor });
      return shard;
    };
    const tensors = new Map([...owners.keys()].map((name) => [name, shardOf(name).tensors.get(name)!]));
    return { tensors, read: (name) => shardOf(name).read(name), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Every tensor is in the shard that the index says, and no shard holds another. */
function checkIndex(owners: ReadonlyMap<string, string>, shards: ReadonlyMap<string, SafetensorsFile>): void {
  for (const [tensor, name] of owners) {
    if (!shards.get(name)?.tensors.has(tensor)) throw indexError(`"${name}" does not hold "${tensor}"`);
  }
  for (const [name, shard] of shards) {
    for (const tensor of shard.tensors.keys()) {
      if (owners.get(tensor) !== name)
        throw indexError(`"${name}" holds "${tensor}", which the index does not place there`);
    }
  }
}

function readIndex(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw indexError(`it is not JSON (${(cause as Error).message})`);
  }
}

const indexError = (reason: string): Error =>
  invalid('checkpoint.index', `${INDEX_FILE} cannot be used: ${reason}.`, { file: INDEX_FILE });
