import { join } from 'node:path';
import { modelFileFor, readManifest } from '../bundle';
import { invalid, throwIfAborted } from '../errors';
import type { CompileOptions, Executable, HostTensor, Runtime } from '../runtime';
import { loadTokenizer } from '../text';
import type { Tokenizer } from '../text';

export interface GenerateOptions {
  readonly runtime: Runtime;
  readonly compile?: CompileOptions;
  /** Prompts of a run; default 8. */
  readonly batchSize?: number;
  /** Tokens after which a text is cut off; default 64. */
  readonly maxNewTokens?: number;
  readonly signal?: AbortSignal;
  /** Hears the share of prompts that are done. */
  readonly onProgress?: (fraction: number) => void;
}

/** A prompt and what follows it so far. */
interface Writing {
  readonly index: number;
  readonly ids: number[];
  readonly promptLength: number;
}

/**
 * Lets a causal language model continue prompts, always with the likeliest token (greedily), up to the end-of-text
 * token. Every step runs the whole text again: for evaluation, not for serving.
 * @throws ModelpressError `evaluate.task` for a model of another task, `evaluate.tokenizer` without one.
 */
export async function generate(
  bundle: string,
  prompts: readonly string[],
  options: GenerateOptions,
): Promise<string[]> {
  const { task, tokenizer: stated, output, maxLength, inputs, native } = await readManifest(bundle);
  if (task !== 'causal-lm') {
    throw invalid('evaluate.task', `Generation needs a causal-lm model, not ${task}.`, { field: 'task' });
  }
  if (!stated) throw invalid('evaluate.tokenizer', 'The model has no tokenizer, so it cannot read text.');
  const { batchSize = 8, maxNewTokens = 64, signal, onProgress } = options;
  const tokenizer = await loadTokenizer(bundle);
  // Of a short context an answer takes half at most, so that something of the prompt remains.
  const promptLength = Math.max(maxLength - maxNewTokens, Math.ceil(maxLength / 2));
  const writings = startWritings(prompts, tokenizer, promptLength);
  const executable = await options.runtime.compile(
    { path: join(bundle, modelFileFor({ native }, options.runtime.name)) },
    options.compile,
  );
  const texts: string[] = prompts.map(() => '');
  try {
    for (let start = 0; start < writings.length; start += batchSize) {
      const batch = writings.slice(start, start + batchSize);
      const model = { executable, inputs, output, padId: tokenizer.padId };
      await continueAll(batch, model, { end: endToken(tokenizer), maxLength, maxNewTokens }, signal);
      for (const { index, ids, promptLength } of batch) texts[index] = tokenizer.decode(ids.slice(promptLength));
      onProgress?.(Math.min(1, (start + batchSize) / writings.length));
    }
    return texts;
  } finally {
    await executable.release();
  }
}

/** Prompts of like length side by side, so that little is padded. */
const startWritings = (prompts: readonly string[], tokenizer: Tokenizer, maxLength: number): Writing[] =>
  prompts
    .map((prompt, index) => {
      const { ids } = tokenizer.encodeGeneration(prompt, undefined, { maxLength });
      return { index, ids: [...ids], promptLength: ids.length };
    })
    .sort((a, b) => a.ids.length - b.ids.length);

const endToken = ({ special }: Tokenizer): number | undefined => special.eos ?? special.sep;

interface LanguageModel {
  readonly executable: Executable;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly padId: number;
}

interface Stop {
  readonly end: number | undefined;
  readonly maxLength: number;
  readonly maxNewTokens: number;
}

async function continueAll(
  batch: readonly Writing[],
  model: LanguageModel,
  { end, maxLength, maxNewTokens }: Stop,
  signal: AbortSignal | undefined,
): Promise<void> {
  let open = [...batch];
  while (open.length > 0) {
    throwIfAborted(signal);
    const next = await nextTokens(open, model);
    open.forEach(({ ids }, row) => ids.push(next[row]));
    open = open.filter(
      ({ ids, promptLength }) =>
        ids.at(-1) !== end && ids.length < maxLength && ids.length - promptLength < maxNewTokens,
    );
  }
}

/** The likeliest token after each text. */
async function nextTokens(
  writings: readonly Writing[],
  { executable, inputs, output, padId }: LanguageModel,
): Promise<number[]> {
  const sequence = Math.max(...writings.map(({ ids }) => ids.length));
  const cells = (value: (ids: readonly number[], at: number) => number): HostTensor => ({
    dtype: 'int64',
    dims: [writings.length, sequence],
    data: BigInt64Array.from(
      writings.flatMap(({ ids }) => Array.from({ length: sequence }, (_, at) => value(ids, at))),
      BigInt,
    ),
  });
  const known: Readonly<Record<string, HostTensor>> = {
    input_ids: cells((ids, at) => ids[at] ?? padId),
    attention_mask: cells((ids, at) => (at < ids.length ? 1 : 0)),
  };
  const feeds = Object.fromEntries(inputs.map((name) => [name, known[name]]));
  const { dims, data } = (await executable.run(feeds))[output];
  const vocabulary = dims[2];
  return writings.map(({ ids }, row) => {
    const start = (row * sequence + ids.length - 1) * vocabulary;
    let best = start;
    for (let i = start + 1; i < start + vocabulary; i++) if (data[i] > data[best]) best = i;
    return best - start;
  });
}
