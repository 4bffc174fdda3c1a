/**
 * @file Activation recomputation (Chen et al. 2016, arXiv:1604.06174): trades a second forward pass for memory. Between
 * checkpoints, activations are dropped after the forward pass and computed again when the backward pass needs them.
 */
import { Node, Value, byteLength, isFloat, sizeOf } from '../graph';
import type { Graph, Model } from '../graph';
import { GraphBuilder } from '../graph/builder';

/** A segment is closed once it holds so many times what its checkpoint does, and this share of all activations. */
const MIN_GAIN = 4;
const MIN_SHARE = 1 / 64;

/** A run of forward nodes that reads no activation from before but its checkpoint. */
interface Segment {
  readonly checkpoint: Value;
  readonly nodes: readonly Node[];
}

/**
 * Rewrites a training graph in place. Checkpoints are found as the points of the forward pass where a single activation
 * is alive: the residual stream between blocks.
 *
 * Each segment gets a copy of its forward nodes that reads checkpoint + 0 * g, where g is the gradient that arrives from
 * the segment behind. The sum keeps the copies from being merged with the originals, and keeps them from running early.
 * @param loss name of the loss output
 * @returns number of segments that will be recomputed
 */
export function recomputeActivations(model: Model, loss: string): number {
  const { graph } = model;
  const forward = ancestors(graph.value(loss));
  const activations = activationsOf(graph, forward);
  const segments = segmentsOf(
    graph.nodes.filter((node) => forward.has(node)),
    activations,
  );
  const checkpoints = new Set(segments.map(({ checkpoint }) => checkpoint));
  const levels = levelsOf(graph, forward, segments);
  const build = new GraphBuilder(model);
  let count = 0;
  segments.slice(0, firstKept(segments)).forEach((segment, level) => {
    const needed = valuesForBackward(segment, forward, activations).filter((value) => !checkpoints.has(value));
    const trigger = triggerOf(graph, forward, levels, level);
    if (needed.length === 0 || !trigger) return;
    const copies = copySegment(graph, segment, needed, delayed(build, segment.checkpoint, trigger));
    for (const value of needed) redirect(graph, value, copies.get(value)!, forward);
    count++;
  });
  graph.sort();
  return count;
}

/** Nodes that a value is computed from. */
function ancestors(value: Value): Set<Node> {
  const found = new Set<Node>();
  const stack = [value];
  for (let next = stack.pop(); next; next = stack.pop()) {
    if (!next.producer || found.has(next.producer)) continue;
    found.add(next.producer);
    for (const input of next.producer.inputs) if (input) stack.push(input);
  }
  return found;
}

/** Values of the forward pass that depend on both data (integer inputs) and weights (float inputs). */
function activationsOf(graph: Graph, forward: ReadonlySet<Node>): Set<Value> {
  const reached = (isSource: (value: Value) => boolean): Set<Value> => {
    const values = new Set(graph.inputs.filter(isSource));
    for (const node of graph.nodes) {
      if (!forward.has(node) || !node.inputs.some((input) => input && values.has(input))) continue;
      for (const output of node.outputs) values.add(output);
    }
    return values;
  };
  const fromWeights = reached(({ dtype }) => dtype !== undefined && isFloat(dtype));
  const fromData = reached(({ dtype }) => dtype !== undefined && !isFloat(dtype));
  return new Set([...fromWeights].filter((value) => fromData.has(value) && value.dtype === 'float32'));
}

const bytesOf = ({ dtype, shape }: Value): number =>
  dtype && shape ? byteLength(dtype, sizeOf(shape.map(Number))) : 0;

/** Cuts the forward pass where one activation is alive and enough has come together; in order, the last one open. */
function segmentsOf(nodes: readonly Node[], activations: ReadonlySet<Value>): Segment[] {
  const position = new Map(nodes.map((node, i) => [node, i]));
  const lastUse = (value: Value): number =>
    [...value.uses].reduce((last, { node }) => Math.max(last, position.get(node) ?? -1), -1);
  const total = [...activations].reduce((sum, value) => sum + bytesOf(value), 0);
  const alive = new Set<Value>();
  const segments: { checkpoint: Value; nodes: Node[] }[] = [];
  let held = 0;
  nodes.forEach((node, i) => {
    segments.at(-1)?.nodes.push(node);
    for (const output of node.outputs) {
      if (!activations.has(output)) continue;
      held += bytesOf(output);
      if (lastUse(output) > i) alive.add(output);
    }
    for (const value of alive) if (lastUse(value) <= i) alive.delete(value);
    const [checkpoint, ...others] = alive;
    if (!checkpoint || others.length > 0) return;
    if (held < MIN_GAIN * bytesOf(checkpoint) || held < MIN_SHARE * total) return;
    segments.push({ checkpoint, nodes: [] });
    held = 0;
  });
  return segments;
}

/**
 * The backward pass starts with the last segments. Keeping as much of them as one recomputed segment will hold later
 * does not raise the peak.
 * @returns index of the first segment whose activations stay
 */
function firstKept(segments: readonly Segment[]): number {
  const sizes = segments.map(({ nodes }) =>
    nodes.flatMap(({ outputs }) => outputs).reduce((sum, v) => sum + bytesOf(v), 0),
  );
  const limit = Math.max(...sizes);
  let first = segments.length;
  for (let held = sizes.at(-1) ?? 0; held <= limit && first > 0; held += sizes[first - 1] ?? 0) first--;
  return first;
}

/**
 * The first segment that a value of the backward pass was computed from, directly or not. A checkpoint counts to the
 * segment that it opens; what uses no activation is absent.
 */
function levelsOf(graph: Graph, forward: ReadonlySet<Node>, segments: readonly Segment[]): Map<Value, number> {
  const levels = new Map<Value, number>();
  segments.forEach(({ nodes }, level) => {
    for (const node of nodes) for (const output of node.outputs) levels.set(output, level);
  });
  segments.forEach(({ checkpoint }, level) => levels.set(checkpoint, level));
  for (const node of graph.nodes) {
    if (forward.has(node)) continue;
    const level = Math.min(...node.inputs.map((input) => (input && levels.get(input)) ?? Infinity));
    if (level < Infinity) for (const output of node.outputs) levels.set(output, level);
  }
  return levels;
}

/** Activations inside a segment that the backward pass reads. */
function valuesForBackward({ nodes }: Segment, forward: ReadonlySet<Node>, activations: ReadonlySet<Value>): Value[] {
  return nodes
    .flatMap(({ outputs }) => outputs)
    .filter((value) => activations.has(value))
    .filter((value) => value.consumers.some((node) => !forward.has(node)));
}

/** A gradient from the segments behind `level` that the backward pass of this one reads. */
function triggerOf(
  graph: Graph,
  forward: ReadonlySet<Node>,
  levels: ReadonlyMap<Value, number>,
  level: number,
): Value | undefined {
  for (const node of graph.nodes) {
    if (forward.has(node) || levels.get(node.outputs[0]) !== level) continue;
    const gradient = node.inputs.find(
      (input) =>
        input?.producer &&
        !forward.has(input.producer) &&
        input.dtype === 'float32' &&
        (levels.get(input) ?? -1) > level,
    );
    if (gradient) return gradient;
  }
  return undefined;
}

/** value + 0 * (one element of trigger) */
function delayed(build: GraphBuilder, value: Value, trigger: Value): Value {
  const flat = build.op('Reshape', [trigger, build.int64s([-1])]);
  const element = build.op('Slice', [flat, build.int64s([0]), build.int64s([1])]);
  return build.op('Add', [value, build.op('Mul', [element, build.scalar(0)])], {}, `${value.name}.again`);
}

/** Copies the nodes of a segment that `needed` depends on; returns the copies of values by original. */
function copySegment(
  graph: Graph,
  { checkpoint, nodes }: Segment,
  needed: readonly Value[],
  delayedCheckpoint: Value,
): Map<Value, Value> {
  const inSegment = new Set(nodes);
  const wanted = new Set(needed.flatMap((value) => value.producer ?? []));
  for (const node of nodes.toReversed()) {
    if (!wanted.has(node)) continue;
    for (const input of node.inputs) {
      const producer = input?.producer;
      if (producer && input !== checkpoint && inSegment.has(producer)) wanted.add(producer);
    }
  }
  const copies = new Map([[checkpoint, delayedCheckpoint]]);
  for (const node of nodes.filter((candidate) => wanted.has(candidate))) {
    const outputs = node.outputs.map((output) => {
      const copy = new Value(graph.uniqueName(`${output.name}.again`), { dtype: output.dtype, shape: output.shape });
      copies.set(output, copy);
      return copy;
    });
    const inputs = node.inputs.map((input) => (input && copies.get(input)) ?? input);
    graph.addNode(new Node(node.opType, node.domain, outputs[0].name, inputs, outputs, new Map(node.attributes)));
  }
  return copies;
}

/** Makes the backward pass read another value. */
function redirect(graph: Graph, from: Value, to: Value, forward: ReadonlySet<Node>): void {
  for (const { node, index } of from.uses) {
    if (!forward.has(node)) graph.setInput(node, index, to);
  }
}
