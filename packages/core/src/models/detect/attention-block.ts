/** @file One attention block: from its output projection up to query, key and value. */
import { unsupported } from '../../errors';
import { Node } from '../../graph';
import type { Graph, Value } from '../../graph';
import { constantOf } from '../../ops/constant-value';
import type { Linear } from './linear';
import { findAbove, isElementwise, isLayout, isLayoutOrScale } from './walk';

/** Heads of equal sizes that one pair of matrix products computes. */
export interface HeadGroup {
  readonly heads: number;
  /** 0: the heads look at all visible positions equally. */
  readonly queryDim: number;
  readonly valueDim: number;
  /** Attention probabilities, [batch, heads, sequence, sequence]; absent where queryDim is 0. */
  readonly probabilities: Value | undefined;
}

export interface AttentionBlock {
  /** Absent, as key is, when no head has query dimensions. */
  readonly query: Linear | undefined;
  readonly key: Linear | undefined;
  readonly value: Linear;
  readonly output: Linear;
  readonly groups: readonly HeadGroup[];
  /** The Add that joins the block's result with the residual stream. */
  readonly residual: Node;
}

type LinearsByOutput = ReadonlyMap<Value, Linear>;

/**
 * The attention block that ends in `output`, or undefined when no attention leads there.
 * @throws `detect.fused-attention`, `detect.attention` for an attention that is built in another way
 */
export function attentionBlock(output: Linear, residual: Node, linears: LinearsByOutput): AttentionBlock | undefined {
  const contexts = findAbove(output.input, (value) => productAt(value) ?? linears.get(value), isLayout);
  const products = contexts.filter((context) => context instanceof Node);
  const direct = contexts.find((context): context is Linear => !(context instanceof Node));
  if (products.length === 0) return direct && averagesFirst(direct) ? averaging(direct, output, residual) : undefined;

  const parts = products.map((product) => attentionPart(product, linears));
  const value = same(
    parts.map((part) => part.value),
    'value',
    output,
  );
  const looking = parts.filter((part) => part.query);
  const query =
    looking.length > 0
      ? same(
          looking.map((part) => part.query),
          'query',
          output,
        )
      : undefined;
  const key =
    looking.length > 0
      ? same(
          looking.map((part) => part.key),
          'key',
          output,
        )
      : undefined;
  if (query === value || (query && query === key)) {
    throw unsupported(
      'detect.fused-attention',
      `Query, key and value come from one matrix (${value.node}); the structured stages need three.`,
      value.node.location,
    );
  }
  return { query, key, value, output, residual, groups: parts.map((part) => part.group(value)) };
}

/** The node of a product of two computed values. */
function productAt(value: Value): Node | undefined {
  const node = value.producer;
  if (node?.opType !== 'MatMul' && node?.opType !== 'FusedMatMul') return undefined;
  const computed = node.inputs.every((input) => input && !constantOf(input) && !isTransposedConstant(input));
  return computed ? node : undefined;
}

const isTransposedConstant = (value: Value): boolean =>
  value.producer?.opType === 'Transpose' && constantOf(value.producer.input(0)) !== undefined;

/** Whether a value projection reads an average of the hidden states: mean(x) W_V = mean(x W_V). */
const averagesFirst = (value: Linear): boolean => productAt(value.input) !== undefined;

function averaging(value: Linear, output: Linear, residual: Node): AttentionBlock {
  const group = { heads: 1, queryDim: 0, valueDim: value.outputs, probabilities: undefined };
  return { query: undefined, key: undefined, value, output, residual, groups: [group] };
}

/** The softmax outputs of all attentions: those over products of two computed values. */
export function findAttentionProbabilities(graph: Graph): Value[] {
  const softmaxes = graph.nodes.filter((node) => node.opType === 'Softmax');
  return softmaxes
    .filter((node) => findAbove(node.input(0), productAt, isElementwiseOrLayout).length > 0)
    .map((node) => node.output());
}

interface AttentionPart {
  readonly query: Linear | undefined;
  readonly key: Linear | undefined;
  readonly value: Linear;
  group(value: Linear): HeadGroup;
}

/** Takes apart context = probabilities x values. */
function attentionPart(context: Node, linears: LinearsByOutput): AttentionPart {
  const [probabilities, values] = [context.input(0), context.input(1)];
  const [value] = findAbove(values, (v) => linears.get(v), isLayoutOrScale);
  const [softmax] = findAbove(
    probabilities,
    (v) => (v.producer?.opType === 'Softmax' ? v.producer : undefined),
    isElementwiseOrLayout,
  );
  if (!value || !softmax) throw notFound(value ? 'the softmax' : 'the value projection', context);
  const [scores] = findAbove(softmax.input(0), productAt, isElementwiseOrLayout);
  if (!scores) {
    const group = (v: Linear): HeadGroup => ({
      heads: 1,
      queryDim: 0,
      valueDim: partWidth(values) ?? v.outputs,
      probabilities: undefined,
    });
    return { query: undefined, key: undefined, value, group };
  }
  const [query] = findAbove(scores.input(0), (v) => linears.get(v), isLayoutOrScale);
  const [key] = findAbove(scores.input(1), (v) => linears.get(v), isLayoutOrScale);
  if (!query || !key) throw notFound(query ? 'the key projection' : 'the query projection', scores);
  const ofQuery = headShape(scores.input(0), query);
  const ofValue = headShape(values, value);
  if (!ofQuery || !ofValue) throw notFound('the number of heads', scores);
  const group = (): HeadGroup => ({
    heads: ofQuery.heads,
    queryDim: ofQuery.dim,
    valueDim: ofValue.dim,
    probabilities: softmax.output(),
  });
  return { query, key, value, group };
}

const isElementwiseOrLayout = (node: Node): boolean => isElementwise(node) || isLayout(node);

/** Heads and their size, read from the Reshape that splits a projection. */
function headShape(value: Value, linear: Linear): { heads: number; dim: number } | undefined {
  const reshapes = findAbove(
    value,
    (v) => (v.producer?.opType === 'Reshape' && splitsHeads(v.producer) ? v.producer : undefined),
    isLayoutOrScale,
  );
  const [heads, dim] = reshapes[0] ? lastTwo(reshapes[0].input(1)) : [];
  const width = partWidth(reshapes[0]?.input(0)) ?? linear.outputs;
  if (dim !== undefined && dim > 0) return { heads: heads !== undefined && heads > 0 ? heads : width / dim, dim };
  return heads !== undefined && heads > 0 ? { heads, dim: width / heads } : undefined;
}

/** Width of one part of a Split. */
function partWidth(value: Value | undefined): number | undefined {
  const node = value?.producer;
  if (node?.opType !== 'Split') return undefined;
  return constantOf(node.inputs[1])?.toNumbers()[node.outputs.indexOf(value!)];
}

/** Whether a Reshape makes [.., heads, size]: the last two dimensions of its target are not both taken over. */
function splitsHeads(reshape: Node): boolean {
  const [heads, dim] = lastTwo(reshape.input(1));
  return (heads !== undefined && heads > 0) || (heads === -1 && dim !== undefined && dim > 0);
}

/** The last two entries of a shape tensor, as far as they are constant. */
function lastTwo(shape: Value): [number | undefined, number | undefined] {
  const constant = constantOf(shape);
  const parts = constant
    ? constant.toNumbers()
    : shape.producer?.opType === 'Concat'
      ? shape.producer.inputs.map((input) => constantOf(input)?.toNumbers()[0])
      : [];
  return parts.length < 4 ? [undefined, undefined] : [parts.at(-2), parts.at(-1)];
}

function same(linears: readonly (Linear | undefined)[], role: string, output: Linear): Linear {
  const [first] = linears;
  if (first && linears.every((linear) => linear === first)) return first;
  throw notFound(`one ${role} projection for all heads`, output.node);
}

const notFound = (what: string, node: Node): Error =>
  unsupported(
    'detect.attention',
    `The structure was not recognised: ${what} of the attention at ${node} was not found.`,
    node.location,
  );
