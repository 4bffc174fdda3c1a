/** @file Inputs to time a model with: made up, or from the texts of a data set. */
import type { Manifest } from '../bundle/manifest';
import { invalid, unsupported } from '../errors';
import type { HostTensor } from '../runtime/runtime';
import type { Encoding, Tokenizer } from '../text/tokenizer';
import { Random } from '../train/random';

/** A batch shape: rows and tokens of each. */
export interface Shape {
  readonly batch: number;
  readonly sequence: number;
}

/** Feeds of a model by input name. */
export type Feeds = Readonly<Record<string, HostTensor>>;

type TokenInput = 'input_ids' | 'attention_mask' | 'token_type_ids';

/**
 * Random ids within the vocabulary, no padding (so every token costs), all of type 0.
 * @param vocabulary rows of the model's embedding table
 * @throws `benchmark.input` for a model input that is none of input_ids, attention_mask, token_type_ids;
 * `benchmark.length` for a sequence longer than the model takes
 */
export function syntheticInputs(manifest: Manifest, vocabulary: number, shape: Shape, seed: number): Feeds {
  requireLength(manifest, shape.sequence);
  const random = new Random(seed);
  const fill: Record<TokenInput, () => number> = {
    input_ids: () => random.integer(vocabulary),
    attention_mask: () => 1,
    token_type_ids: () => 0,
  };
  return feeds(manifest, shape, (name) => fill[name]);
}

/** Encoded texts, padded to the longest of them. */
export function textInputs(
  manifest: Manifest,
  tokenizer: Tokenizer,
  texts: readonly (readonly [string, string?])[],
): Feeds {
  const { maxLength } = manifest;
  const rows = texts.map(([text, pair]) => tokenizer.encode(text, pair, { maxLength }));
  const sequence = Math.max(1, ...rows.map((row) => row.ids.length));
  const value: Record<TokenInput, (row: Encoding, at: number) => number> = {
    input_ids: ({ ids }, at) => ids[at] ?? tokenizer.padId,
    attention_mask: ({ ids }, at) => Number(at < ids.length),
    token_type_ids: ({ ids, firstLength }, at) => Number(at >= firstLength && at < ids.length),
  };
  return feeds(manifest, { batch: rows.length, sequence }, (name) => (row, at) => value[name](rows[row], at));
}

/** @throws `benchmark.length` if the model takes fewer tokens. */
export function requireLength({ maxLength }: Manifest, sequence: number): void {
  if (sequence <= maxLength) return;
  throw invalid('benchmark.length', `The grid has ${sequence} tokens, but the model takes at most ${maxLength}.`, {
    field: 'sequences',
  });
}

function feeds(
  manifest: Manifest,
  { batch, sequence }: Shape,
  elements: (name: TokenInput) => (row: number, at: number) => number,
): Feeds {
  const tensor = (name: string): HostTensor => {
    const element = elements(tokenInput(name));
    const data = new BigInt64Array(batch * sequence);
    data.forEach((_, i) => (data[i] = BigInt(element(Math.floor(i / sequence), i % sequence))));
    return { dtype: 'int64', dims: [batch, sequence], data };
  };
  return Object.fromEntries(manifest.inputs.map((name) => [name, tensor(name)]));
}

function tokenInput(name: string): TokenInput {
  if (name === 'input_ids' || name === 'attention_mask' || name === 'token_type_ids') return name;
  throw unsupported('benchmark.input', `The model has an input "${name}", which cannot be made from tokens.`, {
    field: 'inputs',
  });
}
