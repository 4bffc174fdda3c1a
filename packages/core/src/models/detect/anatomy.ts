/** @file The parts of a transformer in any graph, found by how they are connected, not by what exporters call them. */
import { ModelpressError, unsupported } from '../../errors';
import type { Graph, Node, Value } from '../../graph';
import { attentionBlock } from './attention-block';
import type { AttentionBlock } from './attention-block';
import { findEmbeddings } from './embeddings';
import type { Embeddings } from './embeddings';
import { findLayerNorms } from './layer-norm';
import type { LayerNorm } from './layer-norm';
import { findLinears } from './linear';
import type { Linear } from './linear';
import { constantOf } from '../../ops/constant-value';
import { findAbove, isElementwise, isLayout, isLayoutOrPick } from './walk';

/** W_O act(W_I x + b_I) + b_O. */
export interface FfnBlock {
  readonly intermediate: Linear;
  readonly output: Linear;
  /** The Add that joins the block's result with the residual stream. */
  readonly residual: Node;
}

/** A layer may lack a block that pruning removed. */
export interface AnatomyLayer {
  readonly attention: AttentionBlock | undefined;
  readonly ffn: FfnBlock | undefined;
}

/** Where everything is, as values and nodes of the graph that was searched. */
export interface Anatomy {
  /** Width of the residual stream. */
  readonly hidden: number;
  readonly embeddings: Embeddings;
  readonly layers: readonly AnatomyLayer[];
  readonly norms: readonly LayerNorm[];
  /** The dense layer before the classifier, if there is one. */
  readonly pooler: Linear | undefined;
  readonly classifier: Linear | undefined;
}

/**
 * Finds the anatomy of an encoder or decoder.
 * @throws `detect.*` naming what was not found, and the node where known
 */
export function findAnatomy(graph: Graph): Anatomy {
  const linears = findLinears(graph);
  const norms = findLayerNorms(graph);
  const byOutput = new Map(linears.map((linear) => [linear.output, linear]));
  const layers: { attention?: AttentionBlock; ffn?: FfnBlock }[] = [];
  for (const linear of linears) {
    const residual = residualAdd(linear);
    if (!residual) continue;
    const attention = attentionBlock(linear, residual, byOutput);
    if (attention) {
      layers.push({ attention });
      continue;
    }
    const ffn = ffnBlock(linear, residual, byOutput);
    const last = layers.at(-1);
    if (last && !last.ffn) last.ffn = ffn;
    else layers.push({ ffn });
  }
  const first = layers[0]?.attention?.output ?? layers[0]?.ffn?.output;
  if (!first || !layers.some((layer) => layer.attention)) {
    throw unsupported('detect.no-attention', noAttentionReason(graph, linears));
  }
  refuseSharedWeights(layers);
  const classifier = findClassifier(graph, linears);
  return {
    hidden: first.outputs,
    embeddings: findEmbeddings(graph, layers[0], norms),
    layers: layers.map(({ attention, ffn }) => ({ attention, ffn })),
    norms,
    classifier,
    pooler: classifier && findPooler(classifier, byOutput),
  };
}

/** @throws `detect.shared-weights` when layers use one matrix: cutting it for one would cut it for all */
function refuseSharedWeights(layers: readonly Partial<AnatomyLayer>[]): void {
  const seen = new Map<Value, Linear>();
  for (const { attention, ffn } of layers) {
    const { query, key, value, output } = attention ?? {};
    for (const linear of [query, key, value, output, ffn?.intermediate, ffn?.output]) {
      const other = linear && seen.get(linear.weight);
      if (linear && other && other !== linear) {
        throw unsupported(
          'detect.shared-weights',
          `The matrix "${linear.weight.name}" is shared by ${other.node} and ${linear.node}; structured stages need layers of their own.`,
          linear.node.location,
        );
      }
      if (linear) seen.set(linear.weight, linear);
    }
  }
}

function noAttentionReason(graph: Graph, linears: readonly Linear[]): string {
  const quantized = graph.nodes.find((node) => /Quantize|Integer|NBits/.test(node.opType));
  if (quantized) return `The weights are quantized (${quantized}); structure is found in float models only.`;
  const fused = graph.nodes.find((node) => /Attention/.test(node.opType));
  if (fused)
    return `The attention is one fused operator (${fused}); structure is found in graphs of plain operators only.`;
  if (linears.length === 0) return 'The graph has no matrix multiplication with a constant weight.';
  return 'No matrix multiplication was found whose result is added to a residual stream after an attention.';
}

/** The Add that joins a linear's output with another computed value, if that is all that happens to the output. */
function residualAdd({ output }: Linear): Node | undefined {
  let value = output;
  for (;;) {
    const [reader, ...others] = value.consumers;
    if (!reader || others.length > 0) return undefined;
    if (reader.opType === 'Add')
      return reader.inputs.every((input) => input && !constantOf(input)) ? reader : undefined;
    if (!isLayout(reader)) return undefined;
    value = reader.output();
  }
}

/** @throws `detect.block` when no feed-forward layer leads to `output` */
function ffnBlock(output: Linear, residual: Node, byOutput: ReadonlyMap<Value, Linear>): FfnBlock {
  const sources = findAbove(
    output.input,
    (value) => byOutput.get(value),
    (node) => isElementwise(node) || isLayout(node),
  );
  const [intermediate] = sources;
  if (sources.length === 1 && intermediate) return { intermediate, output, residual };
  const reason =
    sources.length > 1
      ? `the feed-forward block ending in ${output.node} multiplies ${sources.length} projections (a gated block)`
      : `${output.node} ends in a residual connection, but neither attention nor a feed-forward layer leads to it`;
  throw unsupported('detect.block', `The structure was not recognised: ${reason}.`, output.node.location);
}

/** The linear that makes a graph output; a decoder tied to an embedding table is none. */
export function findClassifier(graph: Graph, all = findLinears(graph)): Linear | undefined {
  const byOutput = new Map(all.map((linear) => [linear.output, linear]));
  const passes = (node: Node): boolean => isLayoutOrPick(node) || isElementwise(node);
  const linears = graph.outputs.flatMap((output) => findAbove(output, (value) => byOutput.get(value), passes));
  return linears.find(({ weight }) => !weight.consumers.some((reader) => reader.opType === 'Gather'));
}

function findPooler({ input }: Linear, byOutput: ReadonlyMap<Value, Linear>): Linear | undefined {
  const sources = findAbove(input, (value) => byOutput.get(value), isElementwise);
  return sources.length === 1 ? sources[0] : undefined;
}

/** The anatomy, or why there is none. */
export function tryAnatomy(graph: Graph): Anatomy | ModelpressError {
  try {
    return findAnatomy(graph);
  } catch (error) {
    if (error instanceof ModelpressError && error.code.startsWith('detect.')) return error;
    throw error;
  }
}
