/** @file How far the answers of a model's native form are from those of its plain form. */
import { join } from 'node:path';
import { syntheticInputs } from '../bench/inputs';
import { Subject } from '../bench/subject';
import { MODEL_FILE, NATIVE_FILE } from '../bundle';
import type { Manifest } from '../bundle';
import { nativeRuntime, ortRuntime } from '../runtime';
import type { Runtime } from '../runtime';

/** Made-up texts that both forms answer. */
const BATCH = 4;
const LONGEST = 64;

/** Largest difference of an output element over the largest output element. */
export async function checkAnswers(
  folder: string,
  { seed, threads }: { readonly seed: number; readonly threads: number },
): Promise<number> {
  const { manifest, vocabulary } = await Subject.open(folder);
  const sequence = Math.min(LONGEST, manifest.maxLength);
  const feeds = syntheticInputs(manifest, vocabulary, { batch: BATCH, sequence }, seed);
  const answers = async (runtime: Runtime, file: string): Promise<Float32Array> => {
    const executable = await runtime.compile({ path: join(folder, file) }, { threads });
    try {
      return outputOf(manifest, await executable.run(feeds));
    } finally {
      await executable.release();
    }
  };
  const plain = await answers(ortRuntime, MODEL_FILE);
  const native = await answers(nativeRuntime, NATIVE_FILE);
  const largest = plain.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const difference = plain.reduce((most, value, i) => Math.max(most, Math.abs(value - native[i])), 0);
  return largest === 0 ? difference : difference / largest;
}

const outputOf = ({ output }: Manifest, results: Readonly<Record<string, { readonly data: unknown }>>): Float32Array =>
  Float32Array.from(results[output].data as Float32Array);
