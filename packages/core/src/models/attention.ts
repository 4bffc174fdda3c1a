/** @file Multi-head attention whose heads may have any sizes, as pruning leaves them. */
import type { Value } from '../graph';
import type { LayerSizes } from './config';
import type { Network } from './network';

/** Added to the scores of hidden positions. exp(-1e4) is 0 in float32, and the number exists in float16 too. */
const HIDDEN = -1e4;

/** What every layer's attention shares: who may look at whom. */
export interface AttentionMask {
  /** Added to the scores; [batch, 1, 1, sequence], or [batch, 1, sequence, sequence] when causal. */
  readonly additive: Value;
  readonly causal: boolean;
  /** Weights of a head that has no query dimensions left: equal over visible positions; 3-d as `additive` without axis 1. */
  uniform(): Value;
}

/** Names of the four projections. */
export interface AttentionNames {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly output: string;
}

/** Builds the mask from the `attention_mask` input ([batch, sequence], 1 = a token). */
export function attentionMask(net: Network, attentionMaskInput: Value, causal: boolean): AttentionMask {
  const { build } = net;
  const additive = build.scope('mask', () => {
    const tokens = build.op('Cast', [attentionMaskInput], { to: 1 }, 'tokens');
    const hidden = build.op('Mul', [build.op('Sub', [build.scalar(1), tokens]), build.scalar(HIDDEN)]);
    const padding = build.op('Unsqueeze', [hidden, build.int64s([1, 2])], {}, 'padding');
    return causal ? build.op('Add', [padding, causalMask(net, attentionMaskInput)], {}, 'causal') : padding;
  });
  let weights: Value | undefined;
  const uniform = (): Value => {
    weights ??= build.op('Softmax', [build.op('Squeeze', [additive, build.int64s([1])])], { axis: -1 }, 'uniform');
    return weights;
  };
  return { additive, causal, uniform };
}

/** [sequence, sequence]: 0 where column <= row, else HIDDEN. */
function causalMask(net: Network, ids: Value): Value {
  const { build } = net;
  const columns = net.positions(ids);
  const rows = build.op('Unsqueeze', [columns, build.int64s([1])], {}, 'rows');
  const future = build.op('Greater', [columns, rows], {}, 'future');
  return build.op('Mul', [build.op('Cast', [future], { to: 1 }), build.scalar(HIDDEN)], {}, 'future');
}

/** Consecutive heads of equal sizes, computed together. */
interface HeadGroup {
  readonly count: number;
  readonly queryDim: number;
  readonly valueDim: number;
}

/** Heads in order; one without value dimensions contributes nothing and has no weights. */
function headGroups({ queryDims, valueDims }: LayerSizes): HeadGroup[] {
  const groups: HeadGroup[] = [];
  queryDims.forEach((queryDim, i) => {
    const valueDim = valueDims[i] ?? 0;
    const last = groups.at(-1);
    if (valueDim === 0) return;
    if (last?.queryDim === queryDim && last.valueDim === valueDim) {
      groups[groups.length - 1] = { ...last, count: last.count + 1 };
    } else groups.push({ count: 1, queryDim, valueDim });
  });
  return groups;
}

/** Whether anything is left of a layer's attention but its output bias. */
export const hasHeads = (sizes: LayerSizes): boolean => headGroups(sizes).length > 0;

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/**
 * softmax(Q K^T / sqrt(d) + mask) V W_AO + b_AO. Heads without query dimensions weigh all visible values equally;
 * a layer of only such heads averages x first, which commutes with W_V. A layer without heads is its output bias.
 * @param x [batch, sequence, hidden]
 * @returns [batch, sequence, hidden], or a shape that broadcasts to it
 */
export function attention(
  net: Network,
  x: Value,
  names: AttentionNames,
  sizes: LayerSizes,
  options: { readonly hidden: number; readonly headSize: number; readonly layer: number; readonly mask: AttentionMask },
): Value {
  const { hidden, layer, mask } = options;
  const groups = headGroups(sizes);
  const queryWidth = sum(groups.map((group) => group.count * group.queryDim));
  const valueWidth = sum(groups.map((group) => group.count * group.valueDim));
  const output = (context: Value): Value =>
    net.linear(context, names.output, valueWidth, hidden, {
      component: 'W_AO',
      layer,
      ...(sizes.attentionOutputs && { kept: sizes.attentionOutputs }),
    });
  const project = (from: Value, name: string, width: number, component: 'W_Q' | 'W_K' | 'W_V'): Value =>
    net.linear(from, name, hidden, width, { component, layer });

  if (!hasHeads(sizes)) return net.parameter(`${names.output}.bias`, [hidden], 'bias');
  if (queryWidth === 0) {
    const mean = net.build.op('MatMul', [mask.uniform(), x], {}, 'mean');
    return output(project(mean, names.value, valueWidth, 'W_V'));
  }
  const looking = groups.filter((group) => group.queryDim > 0);
  const queries = split(
    net,
    project(x, names.query, queryWidth, 'W_Q'),
    looking.map((g) => g.count * g.queryDim),
  );
  const keys = split(
    net,
    project(x, names.key, queryWidth, 'W_K'),
    looking.map((g) => g.count * g.queryDim),
  );
  const values = split(
    net,
    project(x, names.value, valueWidth, 'W_V'),
    groups.map((g) => g.count * g.valueDim),
  );
  const contexts = groups.map((group, i) => {
    const at = looking.indexOf(group);
    return at < 0
      ? meanContext(net, values[i], mask)
      : groupContext(net, group, queries[at], keys[at], values[i], mask.additive, options.headSize);
  });
  const context = contexts.length === 1 ? contexts[0] : net.build.op('Concat', contexts, { axis: 2 }, 'context');
  return output(context);
}

/** Cuts the last axis into parts. */
function split(net: Network, x: Value, widths: readonly number[]): readonly Value[] {
  if (widths.length === 1) return [x];
  return net.build.ops('Split', [x, net.build.int64s(widths)], { axis: 2 }, widths.length, 'heads');
}

function groupContext(
  net: Network,
  { count, queryDim, valueDim }: HeadGroup,
  query: Value,
  key: Value,
  value: Value,
  mask: Value,
  headSize: number,
): Value {
  const { build } = net;
  const heads = (part: Value, dim: number, permutation: readonly number[]): Value =>
    build.op('Transpose', [build.op('Reshape', [part, build.int64s([0, 0, count, dim])])], { perm: permutation });
  const scores = build.op(
    'MatMul',
    [heads(query, queryDim, [0, 2, 1, 3]), heads(key, queryDim, [0, 2, 3, 1])],
    {},
    'scores',
  );
  const scaled = build.op('Mul', [scores, build.scalar(1 / Math.sqrt(headSize))], {}, 'scaled');
  const probabilities = build.op(
    'Softmax',
    [build.op('Add', [scaled, mask], {}, 'masked')],
    { axis: -1 },
    'probabilities',
  );
  const context = build.op('MatMul', [probabilities, heads(value, valueDim, [0, 2, 1, 3])], {}, 'context');
  const merged = build.op('Transpose', [context], { perm: [0, 2, 1, 3] });
  return build.op('Reshape', [merged, build.int64s([0, 0, count * valueDim])], {}, 'merged');
}

/** Values averaged over the visible positions, repeated for every position. */
function meanContext(net: Network, values: Value, mask: AttentionMask): Value {
  const { build } = net;
  const mean = build.op('MatMul', [mask.uniform(), values], {}, 'mean');
  return mask.causal ? mean : build.op('Expand', [mean, build.op('Shape', [values])], {}, 'mean');
}
