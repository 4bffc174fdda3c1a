/** @file Model to ModelProto. */
import { invalid } from '../errors';
import type { Graph, Model, Node, Tensor, Value } from '../graph';
import { DTYPES } from '../graph';
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
import { fromTensor } from './tensor';
import { create, encode } from './wire';
import type { Writer } from './wire';

/**
 * Writes a model to one buffer; tensor data is copied once. Types of intermediate values are not written: every
 * reader infers them, and what is absent cannot be stale.
 * @throws ModelpressError `onnx.too-large` above 2 GiB (use `writeModelFile` with a side file)
 */
export const writeModel = (model: Model): Uint8Array => encodeModel(model, fromTensor).finish();

/** @param store makes the TensorProto of an initializer */
export function encodeModel(model: Model, store: (name: string, tensor: Tensor) => TensorProto): Writer {
  const proto = create(ModelProto, {
    irVersion: BigInt(model.irVersion),
    producerName: model.producer,
    graph: fromGraph(model.graph, store),
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

function fromNode(node: Node): NodeProto {
  const attributes = [...node.attributes].map(([name, attribute]) =>
    fromAttribute(name, attribute, (body) => fromGraph(body, fromTensor), node.location),
  );
  return create(NodeProto, {
    name: node.name,
    opType: node.opType,
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
