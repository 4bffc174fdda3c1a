/** @file Model to ModelProto. */
import { invalid, ModelpressError } from '../errors';
import type { Graph, Model, Node, Tensor, Value } from '../graph';
import { clone, DTYPES } from '../graph';
import { inferNode } from '../ops/infer';
import { fromAttribute } from './attribute';
import { toInt64 } from './integers';
import {
  DimensionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  OperatorSetIdProto,
  StringStringEntryProto,
  TensorShapeProto,
  ValueInfoProto,
} from './proto';
import type { TensorProto } from './proto';
import { writtenOp } from './residual-sum';
import { fromTensor } from './tensor';
import { create, encode } from './wire';
import type { Writer } from './wire-writer';

/**
 * Writes a model to one buffer; tensor data is copied once. The types of intermediate values are inferred anew, so that
 * they are never stale: engines fuse more when they know them.
 * @throws ModelpressError `onnx.too-large` above 2 GiB (use `writeModelFile` with a side file)
 */
export const writeModel = (model: Model): Uint8Array => encodeModel(model, fromTensor).finish();

/** @param store makes the TensorProto of an initializer */
export function encodeModel(model: Model, store: (name: string, tensor: Tensor) => TensorProto): Writer {
  const proto = create(ModelProto, {
    irVersion: BigInt(model.irVersion),
    producerName: model.producer,
    graph: create(GraphProto, { ...fromGraph(model.graph, store), valueInfo: inferredTypes(model) }),
    opsetImport: [...model.opsets].map(([domain, version]) =>
      create(OperatorSetIdProto, { domain, version: BigInt(version) }),
    ),
    metadataProps: [...model.metadata].map(([key, value]) => create(StringStringEntryProto, { key, value })),
  });
  return encode(ModelProto, proto);
}

const fromGraph = (graph: Graph, store: (name: string, tensor: Tensor) => TensorProto): GraphProto =>
  create(GraphProto, {
    name: graph.name,
    node: graph.nodes.map(fromNode),
    initializer: graph.initializers.map((value) => store(value.name, value.constant!)),
    input: graph.inputs.map(fromValue),
    output: graph.outputs.map(fromValue),
  });

/** Types of the values between inputs and outputs, as far as they follow from the inputs. */
function inferredTypes(model: Model): ValueInfoProto[] {
  const { graph } = clone(model);
  const computed = graph.nodes.flatMap((node) => node.outputs);
  for (const value of computed) Object.assign(value, { dtype: undefined, shape: undefined });
  for (const node of graph.nodes) tryInfer(node, model);
  return computed.filter((value) => value.name && value.dtype && !graph.outputs.includes(value)).map(fromValue);
}

/** A foreign op, and what depends on it, stays without a type. */
function tryInfer(node: Node, model: Model): void {
  try {
    inferNode(node, model.opset);
  } catch (error) {
    if (!(error instanceof ModelpressError)) throw error;
  }
}

function fromNode(node: Node): NodeProto {
  const attributes = [...node.attributes].map(([name, attribute]) =>
    fromAttribute(name, attribute, (body) => fromGraph(body, fromTensor), node.location),
  );
  return create(NodeProto, {
    name: node.name,
    opType: writtenOp(node),
    domain: node.domain,
    input: node.inputs.map((value) => value?.name ?? ''),
    output: node.outputs.map((value) => value.name),
    attribute: attributes,
  });
}

function fromValue(value: Value): ValueInfoProto {
  const { name, dtype, shape } = value;
  if (!dtype) throw invalid('onnx.untyped-value', `The element type of "${name}" is unknown; infer shapes first.`);
  const dims = shape?.map((dim) =>
    typeof dim === 'string'
      ? create(DimensionProto, { dimParam: dim })
      : create(DimensionProto, { dimValue: toInt64(dim, `A dimension of "${name}"`) }),
  );
  return create(ValueInfoProto, {
    name,
    type: {
      tensorType: { elemType: DTYPES[dtype].onnx, shape: dims && create(TensorShapeProto, { dim: dims }) },
    },
  });
}
