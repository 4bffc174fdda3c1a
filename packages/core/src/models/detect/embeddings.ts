/** @file Embedding tables and what they add up to. */
import { unsupported } from '../../errors';
import type { Graph, Node, Value } from '../../graph';
import { constantOf } from '../../ops/constant-value';
import type { AnatomyLayer } from './anatomy';
import type { LayerNorm } from './layer-norm';
import { findAbove, isElementwise, isLayout } from './walk';

export interface Embeddings {
  /** Looked up by input_ids. */
  readonly tokens: Value;
  /** Absent where positions are not learned (or were folded into a constant). */
  readonly positions: Value | undefined;
  readonly tokenTypes: Value | undefined;
  /** What the first layer reads: after the LayerNorm where there is one, before pre-norm ones. */
  readonly output: Value;
}

/** Finds the tables from the first residual stream. @throws `detect.embeddings` */
export function findEmbeddings(graph: Graph, first: Partial<AnatomyLayer>, norms: readonly LayerNorm[]): Embeddings {
  const residual = (first.attention ?? first.ffn)!.residual;
  const blockOutput = (first.attention ?? first.ffn)!.output.output;
  const stream = residual.inputs.find((input) => input && !isFrom(input, blockOutput))!;
  const [norm] = findAbove(stream, (value) => norms.find(({ output }) => output === value), isElementwise);
  const lookups = findAbove(norm?.input ?? stream, lookupAt, (node) => isElementwise(node) || isLayout(node));
  const readBy = (name: string): Lookup | undefined => lookups.find(({ indices }) => indices?.name === name);
  const [idsName] = graph.inputs.filter((input) => !/mask|type/.test(input.name)).map((input) => input.name);
  const tokens = readBy(idsName);
  if (!tokens) {
    throw unsupported(
      'detect.embeddings',
      'The embedding table that the token ids look up was not found.',
      residual.location,
    );
  }
  const others = lookups.filter((lookup) => lookup !== tokens);
  const tokenTypes = others.find(({ rows, indices }) => rows <= 2 || /type/.test(indices?.name ?? ''));
  const positions = others.find((lookup) => lookup !== tokenTypes);
  return { tokens: tokens.table, positions: positions?.table, tokenTypes: tokenTypes?.table, output: stream };
}

interface Lookup {
  readonly table: Value;
  readonly rows: number;
  /** The graph input or computed value that selects rows; absent for a slice. */
  readonly indices: Value | undefined;
}

/** A row selection from a constant table, by Gather or Slice. */
function lookupAt(value: Value): Lookup | undefined {
  const node = value.producer;
  if (node?.opType !== 'Gather' && node?.opType !== 'Slice') return undefined;
  const table = node.input(0);
  const dims = constantOf(table)?.dims;
  if (dims?.length !== 2) return undefined;
  return { table, rows: dims[0], indices: node.opType === 'Gather' ? indicesOf(node) : undefined };
}

/** The value behind casts and reshapes of the indices. */
function indicesOf(gather: Node): Value {
  let value = gather.input(1);
  while (value.producer && isLayout(value.producer) && value.producer.opType !== 'Slice')
    value = value.producer.input(0);
  return value;
}

const isFrom = (value: Value, source: Value): boolean =>
  findAbove(value, (v) => (v === source ? v : undefined), isLayout).length > 0;
