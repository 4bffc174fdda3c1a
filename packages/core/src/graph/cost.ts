/** @file What running a graph costs, by counting: operations, memory traffic, memory. */
import { ruleFor } from '../ops/infer';
import { staticShape } from '../ops/shapes';
import type { DType } from './dtype';
import { byteLength } from './dtype';
import type { Model, Node, Value } from './graph';
import { sizeOf } from './shape';

export interface NodeCost {
  readonly node: Node;
  /** Floating-point operations; a multiply-add counts as 2. */
  readonly flops: number;
  /** Bytes read from inputs and written to outputs, if no cache helped. */
  readonly bytes: number;
}

export interface ModelCost {
  readonly flops: number;
  readonly bytes: number;
  /** Elements of all weights: constants above rank 0 other than shapes, indices and masks. */
  readonly parameters: number;
  readonly parameterBytes: number;
  /** Largest sum of intermediate results that must be held at the same time. */
  readonly peakActivationBytes: number;
  readonly nodes: readonly NodeCost[];
}

/** Ops that engines run without touching the data. */
const VIEWS: ReadonlySet<string> = new Set(['Flatten', 'Identity', 'Reshape', 'Shape', 'Size', 'Squeeze', 'Unsqueeze']);

/** Ops that read of their first input only what they return. */
const SELECTIONS: ReadonlySet<string> = new Set(['Gather', 'GatherElements', 'GatherND', 'Slice', 'Split']);

/** Dtypes of shapes, indices and masks. */
const NO_WEIGHTS: ReadonlySet<DType> = new Set<DType>(['int64', 'int32', 'bool']);

/**
 * Counts the cost of one run of a model with static shapes (see `specialise`).
 * @throws ModelpressError `ops.dynamic-shape`, naming the node
 */
export function costOf(model: Model): ModelCost {
  const nodes = model.graph.nodes.map(nodeCost);
  const weights = model.graph.initializers.flatMap(({ constant }) =>
    constant && constant.dims.length > 0 && !NO_WEIGHTS.has(constant.dtype) ? constant : [],
  );
  return {
    flops: sum(nodes.map(({ flops }) => flops)),
    bytes: sum(nodes.map(({ bytes }) => bytes)),
    parameters: sum(weights.map(({ size }) => size)),
    parameterBytes: sum(weights.map(({ bytes }) => bytes.length)),
    peakActivationBytes: peakActivationBytes(model),
    nodes,
  };
}

export function nodeCost(node: Node): NodeCost {
  return { node, flops: ruleFor(node).flops?.(node) ?? 0, bytes: traffic(node) };
}

function traffic(node: Node): number {
  if (VIEWS.has(node.opType)) return 0;
  const written = sum(node.outputs.map((value) => bytesOf(value, node)));
  const inputs = SELECTIONS.has(node.opType) ? node.inputs.slice(1) : node.inputs;
  const read = sum(inputs.map((value) => (value ? bytesOf(value, node) : 0)));
  return read + written + (SELECTIONS.has(node.opType) ? written : 0);
}

const bytesOf = (value: Value, node: Node): number =>
  value.name && value.dtype ? byteLength(value.dtype, sizeOf(staticShape(value, node))) : 0;

/** Every result lives from the node that computes it to its last reader; graph outputs live to the end. */
function peakActivationBytes({ graph }: Model): number {
  const lastReader = new Map<Value, Node>();
  for (const node of graph.nodes) for (const value of node.reads) lastReader.set(value, node);
  const outputs = new Set(graph.outputs);

  let live = 0;
  let peak = 0;
  for (const node of graph.nodes) {
    live += sum(node.outputs.map((value) => bytesOf(value, node)));
    peak = Math.max(peak, live);
    for (const value of new Set([...node.reads, ...node.outputs])) {
      const dies = value.producer && !outputs.has(value) && (lastReader.get(value) ?? value.producer) === node;
      if (dies) live -= bytesOf(value, node);
    }
  }
  return peak;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
