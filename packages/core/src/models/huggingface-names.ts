/** @file How a builder's parameter is named and laid out in a Hugging Face checkpoint. */
import { Tensor } from '../graph';
import type { TransformerArchitecture } from './config';
import type { WeightRole } from './weights';

/** Prefix of the body's parameters; a checkpoint of the bare body leaves it out. */
export const BODY_PREFIX: Readonly<Record<TransformerArchitecture, string>> = {
  bert: 'bert.',
  roberta: 'roberta.',
  distilbert: 'distilbert.',
  gpt2: 'transformer.',
};

/** The last linear of a classification head; its width follows the labels. */
export const CLASSIFIER: Readonly<Record<TransformerArchitecture, string>> = {
  bert: 'classifier.',
  roberta: 'classifier.out_proj.',
  distilbert: 'classifier.',
  gpt2: 'score.',
};

/** Head parameters that carry the body's prefix. */
export const isHeadParameter = (architecture: TransformerArchitecture, name: string): boolean =>
  !name.startsWith(BODY_PREFIX[architecture]) || name.startsWith('bert.pooler.');

/** Buffers and tied copies that checkpoints carry and that hold nothing of their own. */
export const isRedundant = (name: string): boolean =>
  /(^|\.)(position_ids|token_type_ids|attn\.bias|attn\.masked_bias)$/.test(name) ||
  /^(cls\.predictions\.decoder|lm_head\.decoder|vocab_projector|lm_head)\.weight$/.test(name) ||
  /^(cls\.predictions|lm_head)\.decoder\.bias$/.test(name);

/** Where a parameter lies in the checkpoint. `part` of `parts`: a third of GPT-2's fused c_attn, cut along columns. */
export interface StoredAs {
  readonly name: string;
  readonly transposed: boolean;
  readonly part?: number;
}

export const FUSED_PARTS = ['query', 'key', 'value'] as const;

/** The checkpoint's name (with prefix) and layout of a builder's parameter. */
export function storedAs(architecture: TransformerArchitecture, name: string, role: WeightRole): StoredAs {
  // GPT-2's layers store [in, out] (Conv1D); every other linear of transformers is [out, in].
  const transposed = role === 'matrix' && !(architecture === 'gpt2' && name.startsWith('transformer.'));
  const fused = /^(.*\.c_attn)\.(query|key|value)\.(weight|bias)$/.exec(name);
  if (!fused) return { name, transposed };
  const part = FUSED_PARTS.findIndex((candidate) => candidate === fused[2]);
  return { name: `${fused[1]}.${fused[3]}`, transposed, part };
}

/** Spellings under which checkpoints hold a tensor: with and without the body's prefix, and BERT's first LayerNorm names. */
export function spellings(architecture: TransformerArchitecture, name: string): string[] {
  const prefix = BODY_PREFIX[architecture];
  const names = name.startsWith(prefix) ? [name, name.slice(prefix.length)] : [name];
  const old = names.map((n) =>
    n.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta'),
  );
  return [...names, ...old.filter((n) => !names.includes(n))];
}

/** [rows, columns] -> [columns, rows]. */
export function transpose(tensor: Tensor<'float32'>): Tensor<'float32'> {
  const [rows = 1, columns = 1] = tensor.dims;
  const from = tensor.data;
  const to = new Float32Array(from.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) to[column * rows + row] = from[row * columns + column]!;
  }
  return Tensor.float32([columns, rows], to);
}

/** Third `part` of the last axis of c_attn's weight [in, 3 width] or bias [3 width]. */
export function cutPart(tensor: Tensor<'float32'>, part: number): Tensor<'float32'> {
  const total = tensor.dims.at(-1) ?? 0;
  const width = total / FUSED_PARTS.length;
  const rows = tensor.size / total;
  const out = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const begin = row * total + part * width;
    out.set(tensor.data.subarray(begin, begin + width), row * width);
  }
  return Tensor.float32([...tensor.dims.slice(0, -1), width], out);
}

/** The inverse of `cutPart`. */
export function joinParts(parts: readonly Tensor<'float32'>[]): Tensor<'float32'> {
  const widths = parts.map((part) => part.dims.at(-1) ?? 0);
  const total = widths.reduce((sum, width) => sum + width, 0);
  const leading = parts[0].dims.slice(0, -1);
  const rows = leading[0] ?? 1;
  const out = new Float32Array(rows * total);
  let column = 0;
  parts.forEach((part, i) => {
    const width = widths[i];
    for (let row = 0; row < rows; row++) {
      out.set(part.data.subarray(row * width, (row + 1) * width), row * total + column);
    }
    column += width;
  });
  return Tensor.float32([...leading, total], out);
}
