/** @file Helpers of the tests in this folder: running a model on a batch of token ids. */
import { Tensor } from '../graph';
import type { Model } from '../graph';
import { ortRuntime } from '../runtime';

/** Token ids and masks by input name, one list a row. */
export type TokenBatch = Readonly<Record<string, readonly (readonly number[])[]>>;

/** Runs a model once on CPU and returns its outputs as float arrays; `also` names inner values to return too. */
export async function runModel(
  model: Model,
  batch: TokenBatch,
  also: readonly string[] = [],
  others: Readonly<Record<string, Tensor>> = {},
): Promise<Record<string, Float32Array>> {
  for (const name of also) {
    if (!model.graph.outputs.some((output) => output.name === name)) model.graph.addOutput(model.graph.value(name));
  }
  const session = await ortRuntime.compile(model, { threads: 1 });
  const feeds = model.graph.inputs.map(({ name }) => {
    const rows = batch[name];
    if (name in others) return [name, others[name]] as const;
    return [name, Tensor.int64([rows.length, rows[0].length], rows.flat())] as const;
  });
  const outputs = await session.run(Object.fromEntries(feeds));
  await session.release();
  return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]));
}

/** Rows of random token ids with right padding; every row has at least one token. */
export function tokenBatch(
  rows: number,
  length: number,
  vocabulary: number,
  options: { readonly padId?: number; readonly seed?: number } = {},
): TokenBatch {
  const { padId = 0, seed = 1 } = options;
  const id = (row: number, column: number): number => 3 + ((seed * 31 + row * 17 + column * 7) % (vocabulary - 3));
  const used = (row: number): number => Math.max(1, length - ((row * 3 + seed) % length));
  const table = (cell: (row: number, column: number) => number): number[][] =>
    Array.from({ length: rows }, (_, row) => Array.from({ length }, (_, column) => cell(row, column)));
  return {
    input_ids: table((row, column) => (column < used(row) ? id(row, column) : padId)),
    attention_mask: table((row, column) => Number(column < used(row))),
    token_type_ids: table(() => 0),
  };
}

export function maxDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let max = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i] - expected[i]);
    if (!(difference <= max)) max = difference;
  }
  return max;
}
