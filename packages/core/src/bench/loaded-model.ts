/** @file A model in memory, ready to be timed: a graph in ONNX Runtime, or a DAN in its own runtime. */
import { join } from 'node:path';
import { modelFileFor } from '../bundle/bundle';
import type { Manifest } from '../bundle/manifest';
import { openDan } from '../dan/bundle';
import { textOf } from '../dan/vocabulary';
import { GRAPH_RUNTIMES } from '../runtime';
import type { Serving } from '../runtime';
import type { Tokenizer } from '../text/tokenizer';
import { Random } from '../train/random';
import { requireLength, syntheticInputs, textInputs } from './inputs';
import type { Shape } from './inputs';
import type { TimedWork } from './take-turns';

/** One or two texts. */
export type TextRow = readonly [text: string, pair?: string];

/** What is known of a model before it is loaded. */
export interface LoadOptions {
  readonly folder: string;
  readonly manifest: Manifest;
  /** Absent where no texts will be read. */
  readonly tokenizer?: Tokenizer | undefined;
  /** Number of valid token ids. */
  readonly vocabulary: number;
  readonly threads: number;
  /** What computes a graph. */
  readonly serving: Pick<Serving, 'runtime' | 'precision'>;
}

export interface LoadedModel {
  /** A pass over made-up rows of exactly this many tokens. */
  synthetic(shape: Shape, seed: number): TimedWork;
  /** A pass over the next of these batches of texts, tokenization included. */
  texts(batches: readonly (readonly TextRow[])[]): TimedWork;
  release(): Promise<void>;
}

/** @throws what compiling the graph or reading model.dan throws */
export const loadModel = (options: LoadOptions): Promise<LoadedModel> =>
  options.manifest.architecture === 'dan' ? Promise.resolve(loadDan(options)) : loadGraph(options);

async function loadGraph({
  folder,
  manifest,
  tokenizer,
  vocabulary,
  threads,
  serving: { runtime, precision },
}: LoadOptions): Promise<LoadedModel> {
  const path = join(folder, modelFileFor(manifest, runtime));
  const executable = await GRAPH_RUNTIMES[runtime].compile({ path }, { threads, precision });
  return {
    synthetic(shape, seed) {
      const feeds = syntheticInputs(manifest, vocabulary, shape, seed);
      return () => executable.run(feeds);
    },
    texts(batches) {
      if (!tokenizer) throw new TypeError('texts need a tokenizer');
      let round = 0;
      return () => executable.run(textInputs(manifest, tokenizer, batches[round++ % batches.length]));
    },
    release: () => executable.release(),
  };
}

/** A DAN runs on one thread. Made-up rows have every n-gram of their tokens known, the most work that there can be. */
function loadDan({ folder, manifest, vocabulary }: LoadOptions): LoadedModel {
  const classifier = openDan(folder);
  return {
    synthetic(shape, seed) {
      requireLength(manifest, shape.sequence);
      const random = new Random(seed);
      const length = ngramCount(manifest, shape.sequence);
      const rows = Array.from({ length: shape.batch }, () =>
        Uint32Array.from({ length }, () => random.integer(vocabulary)),
      );
      return () => Promise.resolve(classifier.logitsOfSlots(rows));
    },
    texts(batches) {
      const joined = batches.map((rows) =>
        rows.map(([text, pair]) => textOf(pair === undefined ? { text } : { text, pair })),
      );
      let round = 0;
      return () => Promise.resolve(classifier.logits(joined[round++ % joined.length]));
    },
    release: () => Promise.resolve(),
  };
}

/** N-grams of a text of `tokens` words. */
function ngramCount({ config: { minOrder, maxOrder } }: Manifest, tokens: number): number {
  let count = 0;
  for (let order = Number(minOrder); order <= Number(maxOrder); order++) count += Math.max(0, tokens - order + 1);
  return count;
}
