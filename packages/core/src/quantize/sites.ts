/** @file Finds what an int8 rewrite can replace: matrix products with a constant weight, and table look-ups. */
import type { Graph, Node, Value } from '../graph';
import { ONNX_DOMAIN } from '../graph';
import { invalid } from '../errors';

/** y = scale * (x W) + bias, with W constant. */
export interface LinearSite {
  readonly kind: 'linear';
  /** A MatMul or Gemm; x is its input 0. */
  readonly node: Node;
  /** Initializer of the weight. */
  readonly weight: Value;
  /** True when the initializer is stored [out, in]. */
  readonly transposed: boolean;
  /** Factor of the product (Gemm's alpha), folded into the weight's scales. */
  readonly scale: number;
  readonly bias: Bias | undefined;
  /** Value that the rewrite produces instead: the product's output, or that of the Add that was folded in as bias. */
  readonly output: Value;
}

/** A constant vector added to a product. */
export interface Bias {
  /** Initializer of [out] or [1, out]. */
  readonly value: Value;
  /** What it is multiplied by: Gemm's beta. */
  readonly factor: number;
}

/** Rows of a constant table, looked up by index. */
export interface TableSite {
  readonly kind: 'table';
  /** A Gather; the indices are its input 1. */
  readonly node: Node;
  readonly weight: Value;
  readonly output: Value;
}

export type Site = LinearSite | TableSite;

/** A node and the initializer that it reads. */
export type Reader = Pick<Site, 'node' | 'weight'>;

/** A node that looks as if it could be quantized and why it cannot. */
export interface Skipped {
  readonly node: string;
  readonly op: string;
  /** Initializer of the weight, if there is one. */
  readonly weight?: string;
  readonly reason: string;
}

/** Ops that only a quantized model has. */
const QUANTIZED_OPS: ReadonlySet<string> = new Set([
  'QuantizeLinear',
  'DequantizeLinear',
  'DynamicQuantizeLinear',
  'MatMulInteger',
  'ConvInteger',
  'QLinearMatMul',
  'QLinearConv',
  'DynamicQuantizeMatMul',
  'DynamicQuantizeLSTM',
  'MatMulIntegerToFloat',
  'MatMulNBits',
  'MatMulBnb4',
  'QAttention',
  'QGemm',
  'QEmbedLayerNormalization',
  'GatherBlockQuantized',
]);

/** The first node that only a quantized model has. */
export const quantizedNode = (graph: Graph): Node | undefined =>
  graph.nodes.find((node) => QUANTIZED_OPS.has(node.opType));

/** @throws `quantize.already-quantized` naming the first quantized node. */
export function refuseQuantized(graph: Graph): void {
  const node = quantizedNode(graph);
  if (!node) return;
  throw invalid(
    'quantize.already-quantized',
    `The model is quantized already: it contains ${node.toString()}. Quantize the float model it was made from.`,
    node.location,
  );
}

/** Every site of the graph in node order, and what was passed over. Products of two activations are neither. */
export function findSites(graph: Graph): { sites: Site[]; skipped: Skipped[] } {
  const sites: Site[] = [];
  const skipped: Skipped[] = [];
  for (const node of graph.nodes) {
    const found = classify(graph, node);
    if (!found) continue;
    if ('reason' in found) skipped.push(found);
    else sites.push(found);
  }
  return { sites, skipped };
}

/** Products whose weight nothing reads but products, all in the same orientation: their outputs have one meaning. */
export function plainProducts(sites: readonly Site[]): LinearSite[] {
  const orientations = new Map<Value, Set<string>>();
  for (const site of sites) {
    const found = orientations.get(site.weight) ?? new Set();
    orientations.set(site.weight, found.add(site.kind === 'table' ? 'rows' : String(site.transposed)));
  }
  return sites.filter((site) => site.kind === 'linear' && orientations.get(site.weight)!.size === 1) as LinearSite[];
}

function classify(graph: Graph, node: Node): Site | Skipped | undefined {
  if (node.domain !== ONNX_DOMAIN) return undefined;
  switch (node.opType) {
    case 'MatMul':
      return classifyMatMul(graph, node);
    case 'Gemm':
      return classifyGemm(graph, node);
    case 'Gather':
      return classifyGather(node);
    case 'Conv':
    case 'LSTM':
    case 'GRU':
      return skip(node, `${node.opType} has no int8 form here`, node.inputs[1] ?? undefined);
    default:
      return undefined;
  }
}

function classifyMatMul(graph: Graph, node: Node): LinearSite | Skipped | undefined {
  const weight = resolveWeight(node.input(1));
  if (!weight) {
    return resolveWeight(node.input(0)) ? skip(node, 'the weight is the left operand') : undefined;
  }
  const problem = weightProblem(weight.value);
  if (problem) return skip(node, problem, weight.value);
  const outputs = weight.value.constant!.dims[weight.transposed ? 0 : 1];
  const bias = followingBias(graph, node.output(), outputs);
  return {
    kind: 'linear',
    node,
    weight: weight.value,
    transposed: weight.transposed,
    scale: 1,
    bias: bias && { value: bias.value, factor: 1 },
    output: bias?.output ?? node.output(),
  };
}

function classifyGemm(graph: Graph, node: Node): LinearSite | Skipped | undefined {
  const weight = resolveWeight(node.input(1));
  if (!weight) return undefined;
  const problem = weightProblem(weight.value);
  if (problem) return skip(node, problem, weight.value);
  if (node.attribute('transA', 'int', 0)) return skip(node, 'the left operand is transposed (transA)', weight.value);
  const transposed = weight.transposed !== (node.attribute('transB', 'int', 0) === 1);
  const outputs = weight.value.constant!.dims[transposed ? 0 : 1];
  const added = node.inputs[2];
  const own =
    added && isBias(added, outputs) ? { value: added, factor: node.attribute('beta', 'float', 1) } : undefined;
  if (added && !own) return skip(node, 'the added term is not a constant bias vector', weight.value);
  const following = own ? undefined : followingBias(graph, node.output(), outputs);
  return {
    kind: 'linear',
    node,
    weight: weight.value,
    transposed,
    scale: node.attribute('alpha', 'float', 1),
    bias: own ?? (following && { value: following.value, factor: 1 }),
    output: following?.output ?? node.output(),
  };
}

function classifyGather(node: Node): TableSite | Skipped | undefined {
  const weight = node.input(0);
  if (weight.constant?.dtype !== 'float32' || weight.constant.dims.length !== 2) return undefined;
  if (node.attribute('axis', 'int', 0) !== 0) return skip(node, 'the look-up is along columns', weight);
  return { kind: 'table', node, weight, output: node.output() };
}

/** The initializer behind a value, through Identity and matrix transposes. */
function resolveWeight(value: Value): { value: Value; transposed: boolean } | undefined {
  if (value.constant) return { value, transposed: false };
  const producer = value.producer;
  if (!producer || producer.domain !== ONNX_DOMAIN) return undefined;
  if (producer.opType === 'Identity') return resolveWeight(producer.input(0));
  if (producer.opType !== 'Transpose') return undefined;
  const behind = resolveWeight(producer.input(0));
  if (behind?.value.constant?.dims.length !== 2) return undefined;
  const swaps = producer.attribute('perm', 'ints', [1, 0])[0] === 1;
  return { value: behind.value, transposed: behind.transposed !== swaps };
}

function weightProblem(weight: Value): string | undefined {
  const { dtype, dims } = weight.constant!;
  if (dtype !== 'float32') return `the weight is ${dtype}, not float32`;
  if (dims.length !== 2) return `the weight has ${dims.length} dimensions, not 2`;
  return undefined;
}

/** The bias added right after a product, if nothing else reads the product. */
function followingBias(graph: Graph, product: Value, outputs: number): { value: Value; output: Value } | undefined {
  const [use, another] = product.uses;
  if (!use || another || graph.outputs.includes(product)) return undefined;
  if (use.node.opType !== 'Add' || use.node.domain !== ONNX_DOMAIN) return undefined;
  const value = use.node.input(1 - use.index);
  return isBias(value, outputs) ? { value, output: use.node.output() } : undefined;
}

/** Whether a value is a constant float vector of `outputs` elements. */
function isBias({ constant }: Value, outputs: number): boolean {
  if (constant?.dtype !== 'float32' || constant.size !== outputs) return false;
  return constant.dims.length <= 2 && constant.dims.at(-1) === outputs;
}

const skip = (node: Node, reason: string, weight?: Value): Skipped => ({
  node: node.name,
  op: node.opType,
  ...(weight?.constant ? { weight: weight.name } : {}),
  reason,
});
