/** @file Dropout for training: masks are graph inputs, so the graph stays a function of its inputs. */
import { unsupported } from '../errors';
import { isStatic, Node, ONNX_DOMAIN, Value } from '../graph';
import type { Graph, Model } from '../graph';
import { findAttentionProbabilities, findClassifier, findLayerNorms } from './detect';
import { beforeHiddenMask } from './hidden-mask';

/** One dropout: feed `input` with a fresh mask each step, 0 with probability `ratio`, else 1/(1 - ratio). */
export interface DropoutSite {
  /** A float32 graph input. */
  readonly input: string;
  readonly dims: readonly number[];
  readonly ratio: number;
}

export interface DropoutOptions {
  /** For embeddings, block outputs and the classifier's input. */
  readonly ratio: number;
  /** For attention probabilities; default: `ratio`. */
  readonly attentionRatio?: number;
}

/**
 * Multiplies with a mask where transformers are trained with dropout: the embedding output, attention probabilities,
 * each block's output before it joins the residual stream, and the classifier's input. Sites of ratio 0 are left out.
 * In models without attention: the embeddings and the classifier's input.
 * @param model with static shapes and its weights still initializers; changed in place
 * @throws `dropout.no-site` when there is nothing to drop, `dropout.dynamic` for symbolic shapes
 */
export function insertDropout(model: Model, options: DropoutOptions): DropoutSite[] {
  const { ratio, attentionRatio = ratio } = options;
  const values = sitesIn(model.graph).map(({ value, attention }) => ({
    value,
    ratio: attention ? attentionRatio : ratio,
  }));
  return values
    .filter((site) => site.ratio > 0)
    .map((site, i) => mask(model.graph, site.value, site.ratio, `dropout.${i}`));
}

interface Site {
  readonly value: Value;
  readonly attention: boolean;
}

/**
 * Values to drop from. They are told by residual connections and normalisations alone, so that LoRA, adapters and
 * prefixes, which change what lies between, do not hide them.
 */
function sitesIn(graph: Graph): Site[] {
  const classifier = findClassifier(graph)?.input;
  const values = [...embeddingOutputs(graph), ...branches(graph), ...(classifier ? [classifier] : [])];
  const sites = [
    ...findAttentionProbabilities(graph).map((value) => ({ value, attention: true })),
    ...values.map((value) => ({ value, attention: false })),
  ];
  if (sites.length > 0) return sites;
  throw unsupported('dropout.no-site', 'The model has neither embeddings nor a classifier to apply dropout to.');
}

/** The embeddings as the first layer reads them; in a model without normalisations, as they are looked up. */
function embeddingOutputs(graph: Graph): Value[] {
  const [first] = findLayerNorms(graph);
  const stream = first && beforeHiddenMask(first.input);
  if (stream) return [stream.consumers.length > 1 ? stream : first.output];
  const lookups = graph.nodes.filter((node) => node.opType === 'Gather' && node.input(0).constant?.dims.length === 2);
  return lookups.filter((node) => graph.inputs.includes(node.input(1))).map((node) => node.output());
}

/**
 * What each block adds to the residual stream. The sum is what a normalisation reads; the stream itself has other
 * readers (the block, or the next normalisation), the block's result has none.
 */
function branches(graph: Graph): Value[] {
  return findLayerNorms(graph).flatMap(({ input }) => {
    const { producer } = beforeHiddenMask(input);
    const operands = producer?.opType === 'Add' ? [producer.input(0), producer.input(1)] : [];
    const [branch, ...others] = operands.filter((value) => !value.constant && value.consumers.length === 1);
    return branch && others.length === 0 ? [branch] : [];
  });
}

/** Makes every reader of `value` read value * mask instead. */
function mask(graph: Graph, value: Value, ratio: number, name: string): DropoutSite {
  const { shape } = value;
  if (!shape || !isStatic(shape)) {
    throw unsupported('dropout.dynamic', `Dropout needs static shapes, but "${value.name}" has symbolic dimensions.`, {
      value: value.name,
    });
  }
  const readers = [...value.uses];
  const input = graph.addInput(graph.uniqueName(name), 'float32', shape);
  const dropped = new Value(graph.uniqueName(`${value.name}.dropped`), { dtype: 'float32', shape });
  const [before] = graph.nodes.filter((node) => readers.some((use) => use.node === node));
  graph.addNode(new Node('Mul', ONNX_DOMAIN, dropped.name, [value, input], [dropped]), before);
  for (const { node, index } of readers) graph.setInput(node, index, dropped);
  return { input: input.name, dims: shape, ratio };
}
