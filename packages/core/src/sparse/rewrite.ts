/** @file Puts modelpress.SparseGemm in the place of products with pruned weights. */
import { int, Node, Tensor, Value } from '../graph';
import type { Model } from '../graph';
import type { LinearSite } from '../quantize';
import { substitute } from '../quantize/substitute';
import { NATIVE_DOMAIN } from '../runtime/native/lower/substitute';
import { packSparse } from './pack';
import type { DenseWeight, SparsePattern } from './pack';

/** The weight of a product as [inputs, outputs], its factor applied. */
export function weightOf({ weight, transposed, scale }: LinearSite): DenseWeight {
  const { dims, data } = weight.constant as Tensor<'float32'>;
  const [rows, columns] = dims;
  if (!transposed && scale === 1) return { inputs: rows, outputs: columns, data };
  const [inputs, outputs] = transposed ? [columns, rows] : [rows, columns];
  const turned = new Float32Array(inputs * outputs);
  for (let input = 0; input < inputs; input++) {
    for (let output = 0; output < outputs; output++) {
      turned[input * outputs + output] = scale * data[transposed ? output * inputs + input : input * outputs + output];
    }
  }
  return { inputs, outputs, data: turned };
}

/**
 * ```
 * %p = MatMul(%x, %weight)
 * %y = Add(%p, %bias)      ->   %y = modelpress.SparseGemm(%x, %packed, %bias) {outputs}
 * ```
 * The dense weight goes with its last reader.
 */
export function rewriteSparse(model: Model, site: LinearSite, weight: DenseWeight, pattern: SparsePattern): void {
  const { graph, opsets } = model;
  const { node, output } = site;
  const bytes = packSparse(weight, pattern);
  const packed = graph.addInitializer(
    graph.uniqueName(`${site.weight.name}_sparse`),
    Tensor.of('uint8', [bytes.length], bytes),
  );
  const bias = site.bias && graph.addInitializer(graph.uniqueName(`${site.bias.value.name}_row`), biasRow(site.bias));
  const made = new Value(graph.uniqueName(output.name), output);
  const inputs = [node.input(0), packed, ...(bias ? [bias] : [])];
  const attributes = new Map([['outputs', int(weight.outputs)]]);
  graph.addNode(
    new Node('SparseGemm', NATIVE_DOMAIN, graph.uniqueName(`${node.name}_sparse`), inputs, [made], attributes),
    node,
  );
  substitute(graph, output, made);
  opsets.set(NATIVE_DOMAIN, 1);
}

function biasRow({ value, factor }: NonNullable<LinearSite['bias']>): Tensor {
  const given = value.constant as Tensor<'float32'>;
  return Tensor.float32([given.size], factor === 1 ? given.data : given.data.map((x) => x * factor));
}
