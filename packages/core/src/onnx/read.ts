/** @file ModelProto to Model. */
import { invalid, unsupported } from '../errors';
import type { Attribute, Dim, DType, Shape } from '../graph';
import { dtypeFromOnnx, Graph, Model, Node, ONNX_DOMAIN, Value } from '../graph';
import { toAttribute } from './attribute';
import { fromInt64 } from './integers';
import type { GraphProto, NodeProto, TensorShapeProto, ValueInfoProto } from './proto';
import { ModelProto } from './proto';
import { readAdditions } from './residual-sum';
import { toTensor } from './tensor';
import type { ExternalData } from './tensor';
import { decode } from './wire';

/** Standard opsets that are read: the op table knows the oldest, ONNX Runtime 1.30 the newest. */
export const MIN_OPSET = 13;
export const MAX_OPSET = 26;
/** Newest file format that ONNX Runtime 1.30 knows. */
const MAX_IR_VERSION = 13;

/**
 * Reads a model whose data is all in `bytes`. Weights are views of `bytes`.
 *
 * Documentation strings, node metadata and training information are dropped. Initializers that are also listed as
 * inputs (all of them, before IR version 4) become plain constants, Sum becomes Add.
 * @throws ModelpressError with a code `onnx.*` or `graph.*` that says what is wrong or not supported
 */
export const readModel = (bytes: Uint8Array): Model => toModel(decodeModel(bytes), new Map());

/** Decodes the protobuf and refuses what is not an ONNX model at all. */
export function decodeModel(bytes: Uint8Array): ModelProto & { readonly graph: GraphProto } {
  const proto = decode(ModelProto, bytes);
  const { graph, irVersion } = proto;
  if (graph && irVersion !== undefined) return { ...proto, graph };
  throw invalid('onnx.not-a-model', 'The file is not an ONNX model: it has no graph or no IR version.');
}

export function toModel(proto: ReturnType<typeof decodeModel>, external: ExternalData): Model {
  if (proto.functions.length > 0) {
    throw unsupported(
      'onnx.functions',
      'The model uses ONNX functions. Inline them before uploading (the exporter’s "optimize" option does it).',
    );
  }
  const opsets = new Map(
    proto.opsetImport.map((opset) => [normalDomain(opset.domain), fromInt64(opset.version ?? 0n, 'The opset version')]),
  );
  checkVersions(opsets.get(ONNX_DOMAIN), fromInt64(proto.irVersion ?? 0n, 'The IR version'));
  const metadata = new Map(proto.metadataProps.map(({ key, value }) => [key ?? '', value ?? '']));
  // Version 4 is the first in which initializers need not be inputs, which the IR relies on.
  const irVersion = Math.max(4, fromInt64(proto.irVersion ?? 0n, 'The IR version'));
  return new Model(toGraph(proto.graph, external), opsets, metadata, irVersion, proto.producerName ?? '');
}

function checkVersions(opset: number | undefined, irVersion: number): void {
  if (opset !== undefined && (opset < MIN_OPSET || opset > MAX_OPSET)) {
    const range = `${MIN_OPSET} to ${MAX_OPSET}`;
    throw unsupported('onnx.opset', `The model uses opset ${opset}; opsets ${range} are supported.`);
  }
  if (irVersion > MAX_IR_VERSION) {
    const newest = `version ${MAX_IR_VERSION} is the newest supported`;
    throw unsupported('onnx.ir-version', `The model has IR version ${irVersion}; ${newest}.`);
  }
}

/** 'ai.onnx' is another name of the standard domain. */
const normalDomain = (domain: string | undefined): string => (domain === 'ai.onnx' ? ONNX_DOMAIN : (domain ?? ''));

/** @param outer values around a control-flow body, which its nodes may read */
function toGraph(proto: GraphProto, external: ExternalData, outer?: (name: string) => Value | undefined): Graph {
  if (proto.sparseInitializer.length > 0) {
    throw unsupported('onnx.sparse-initializer', 'The model has sparse initializers, which are not supported.');
  }
  const graph = new Graph(proto.name || 'main');
  for (const tensor of proto.initializer) graph.addInitializer(tensor.name ?? '', toTensor(tensor, external));
  for (const info of proto.input) {
    if (graph.values.get(info.name ?? '')?.constant) continue;
    const { dtype, shape } = typeOf(info);
    if (!dtype) throw unsupported('onnx.value-type', `Input "${info.name}" is not a tensor of a supported type.`);
    graph.inputs.push(graph.addValue(new Value(info.name ?? '', { dtype, shape })));
  }

  const nodes = proto.node.flatMap((node) => readAdditions({ ...node, domain: normalDomain(node.domain) }));
  // All values exist before the first node is read, so that the file's order of nodes does not matter.
  for (const node of nodes) {
    for (const name of node.output) if (name !== '') graph.addValue(new Value(name));
  }
  const find = (name: string): Value | undefined => graph.values.get(name) ?? outer?.(name);
  for (const node of nodes) graph.addNode(toNode(node, graph, find, external));
  graph.sort();

  for (const info of proto.output) {
    const value = graph.values.get(info.name ?? '');
    if (!value) throw invalid('onnx.unknown-output', `Nothing computes the graph output "${info.name}".`);
    graph.addOutput(value);
  }
  for (const info of [...proto.valueInfo, ...proto.output]) addType(graph, info);
  return graph;
}

function toNode(
  proto: NodeProto,
  graph: Graph,
  find: (name: string) => Value | undefined,
  external: ExternalData,
): Node {
  const opType = proto.opType ?? '';
  const name = proto.name || proto.output.find((output) => output !== '') || opType;
  const location = { node: name, op: opType };
  const inputs = proto.input.map((input) => {
    if (input === '') return null;
    const value = find(input);
    if (value) return value;
    throw invalid(
      'onnx.unknown-input',
      `Node "${name}" (${opType}) reads "${input}", which nothing defines.`,
      location,
    );
  });
  const outputs = proto.output.map((output) => (output === '' ? new Value('') : graph.value(output)));
  const attributes = proto.attribute.map((attribute): [string, Attribute] => [
    attribute.name ?? '',
    toAttribute(attribute, external, (body) => toGraph(body, external, find), location),
  ]);
  return new Node(opType, proto.domain ?? ONNX_DOMAIN, name, inputs, outputs, new Map(attributes));
}

/**
 * Takes over what the file says about a computed value. It is a hint (exporters leave stale shapes behind): shape
 * inference overwrites it.
 */
function addType(graph: Graph, info: ValueInfoProto): void {
  const value = graph.values.get(info.name ?? '');
  if (!value?.producer) return;
  const { dtype, shape } = typeOf(info);
  value.dtype = dtype;
  value.shape = shape;
}

function typeOf(info: ValueInfoProto): { dtype: DType | undefined; shape: Shape | undefined } {
  const tensor = info.type?.tensorType;
  return {
    dtype: dtypeFromOnnx(tensor?.elemType ?? 0),
    shape: tensor?.shape && shapeOf(tensor.shape, info.name ?? ''),
  };
}

/** A dimension of which nothing is known gets a name of its own, `<value>:<axis>`. */
const shapeOf = (proto: TensorShapeProto, name: string): Shape =>
  proto.dim.map(({ dimValue, dimParam }, axis): Dim => {
    if (dimParam) return dimParam;
    const known = dimValue !== undefined && dimValue >= 0n;
    return known ? fromInt64(dimValue, `A dimension of "${name}"`) : `${name}:${axis}`;
  });
