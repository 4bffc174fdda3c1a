/**
 * @file Prefix tuning (Li & Liang 2021, arXiv:2101.00190; per layer as in P-tuning v2): every attention sees `length`
 * extra, trained key and value vectors before those of the text. The prefix stays in the exported graph.
 */
import { unsupported } from '../errors';
import { Tensor } from '../graph';
import type { Graph, Model, Node, Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { inferNode } from '../ops/infer';
import { Random } from '../train/random';

export interface PrefixOptions {
  /** Extra positions. */
  readonly length: number;
  readonly seed: number;
}

/** One attention: softmax(scores + mask) values, with its parts as the builders emit them. */
interface AttentionSite {
  /** scores = query keys', both [batch, heads, ...]. */
  readonly scores: Node;
  /** The Add of the mask, and which of its inputs the mask is. */
  readonly masked: Node;
  readonly maskInput: number;
  /** probabilities x values. */
  readonly context: Node;
}

/** Adds a prefix to every attention, in place. @returns the names of the new parameters. */
export function addPrefix(model: Model, { length, seed }: PrefixOptions): string[] {
  const sites = attentionSites(model.graph);
  if (sites.length === 0) throw unsupported('adapt.no-attention', 'No attention was found to give a prefix to.');
  const build = new GraphBuilder(model);
  const random = new Random(seed);
  const names: string[] = [];
  const paddedMasks = new Map<Value, Value>();

  sites.forEach((site, i) => {
    const keys = site.scores.input(1); // [batch, heads, size, sequence]
    const values = site.context.input(1); // [batch, heads, sequence, size]
    const extend = (text: Value, name: string, axis: number): Value => {
      const dims = text.shape!.map((dim, d) => (d === 0 ? 1 : d === axis ? length : (dim as number)));
      const count = dims.reduce((product, dim) => product * dim, 1);
      const start = Float32Array.from({ length: count }, () => 0.02 * random.normal());
      names.push(name);
      const prefix = build.parameter(name, Tensor.float32(dims, start));
      return build.op('Concat', [overBatch(build, prefix, text), text], { axis }, name);
    };
    const longKeys = extend(keys, `prefix.${i}.keys`, 3);
    const longValues = extend(values, `prefix.${i}.values`, 2);
    model.graph.setInput(site.scores, 1, longKeys);
    model.graph.setInput(site.context, 1, longValues);

    const mask = site.masked.input(site.maskInput);
    let padded = paddedMasks.get(mask);
    if (!padded) {
      padded = padMask(build, mask, length);
      paddedMasks.set(mask, padded);
    }
    model.graph.setInput(site.masked, site.maskInput, padded);
  });
  model.graph.sort();
  for (const node of model.graph.nodes) inferNode(node, model.opset); // attention is longer now
  return names;
}

/** [1, ...] repeated for every row of `like`. */
function overBatch(build: GraphBuilder, prefix: Value, like: Value): Value {
  const batch = build.op('Shape', [like], { start: 0, end: 1 });
  const rest = build.int64s((prefix.shape as readonly number[]).slice(1));
  return build.op('Expand', [prefix, build.op('Concat', [batch, rest], { axis: 0 })]);
}

/** Zeros (visible) for the prefix positions before the additive mask, on its last axis. */
function padMask(build: GraphBuilder, mask: Value, length: number): Value {
  const rank = mask.shape!.length;
  const pads = Array.from({ length: 2 * rank }, (_, i) => (i === rank - 1 ? length : 0));
  return build.op('Pad', [mask, build.int64s(pads)], {}, 'prefix.mask');
}

/** Every Softmax over (scores [* scale] + mask) that multiplies values. */
function attentionSites(graph: Graph): AttentionSite[] {
  return graph.nodes.flatMap((softmax): AttentionSite[] => {
    const masked = softmax.opType === 'Softmax' ? softmax.input(0).producer : undefined;
    const context = softmax.outputs[0]?.consumers.find((node) => node.opType === 'MatMul');
    if (masked?.opType !== 'Add' || !context) return [];
    const products = masked.inputs.map(productBehind);
    const scores = products.find((node) => node !== undefined);
    return scores ? [{ scores, masked, maskInput: products[0] === scores ? 1 : 0, context }] : [];
  });
}

/** The MatMul that a value is the product of, looking through a scale. */
function productBehind(value: Value | null): Node | undefined {
  const scaled = value?.producer?.opType === 'Mul' || value?.producer?.opType === 'Div';
  const node = scaled ? value?.producer?.input(0).producer : value?.producer;
  return node?.opType === 'MatMul' ? node : undefined;
}
