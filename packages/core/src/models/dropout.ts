/** @file Dropout for training: masks are graph inputs, so the graph stays a function of its inputs. */
import { ModelpressError, unsupported } from '../errors';
import { isStatic, Node, ONNX_DOMAIN, Value } from '../graph';
import type { Graph, Model } from '../graph';
import { findClassifier, tryAnatomy } from './detect';

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
 * @throws `detect.*` when the structure is not found, `dropout.dynamic` for symbolic shapes
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

/** Values to drop from, in the order of the graph. A model without attention has its embeddings and its classifier. */
function sitesIn(graph: Graph): Site[] {
  const anatomy = tryAnatomy(graph);
  const site = (value: Value | undefined, attention = false): Site[] => (value ? [{ value, attention }] : []);
  if (anatomy instanceof ModelpressError) {
    const lookups = graph.nodes.filter((node) => node.opType === 'Gather' && node.input(0).constant?.dims.length === 2);
    const embedded = lookups.filter((node) => graph.inputs.includes(node.input(1))).map((node) => node.output());
    const sites = [...embedded, findClassifier(graph)?.input].flatMap((value) => site(value));
    if (sites.length === 0) throw anatomy;
    return sites;
  }
  const { embeddings, layers, classifier } = anatomy;
  return [
    ...site(embeddings.output),
    ...layers.flatMap(({ attention, ffn }) => [
      ...(attention?.groups ?? []).flatMap((group) => site(group.probabilities, true)),
      ...site(attention?.output.output),
      ...site(ffn?.output.output),
    ]),
    ...site(classifier?.input),
  ];
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
