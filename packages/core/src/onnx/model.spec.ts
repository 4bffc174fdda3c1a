import fc from 'fast-check';
import { Graph, int, Model, Node, Value, verify } from '../graph';
import { readModel, writeModel } from '.';
import { AttributeProto, DataLocation, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto } from './proto';
import { models, printUntyped, tolerateRefusal } from './testing';
import { create, encode } from './wire';

const float32 = (name: string): ValueInfoProto =>
  create(ValueInfoProto, { name, type: { tensorType: { elemType: 1, shape: { dim: [] } } } });

function file(
  graph: Partial<GraphProto>,
  {
    opset = 21n,
    irVersion = 8n,
    functions = [],
  }: { opset?: bigint; irVersion?: bigint; functions?: Uint8Array[] } = {},
): Uint8Array {
  const model = create(ModelProto, {
    irVersion,
    opsetImport: [{ domain: '', version: opset }],
    graph: create(GraphProto, graph),
    functions,
  });
  return encode(ModelProto, model).finish();
}

const withTensor = (tensor: Partial<TensorProto>): Uint8Array =>
  file({ initializer: [create(TensorProto, { name: 'w', ...tensor })] });

describe('readModel and writeModel', () => {
  it('give back the same model', () => {
    fc.assert(
      fc.property(models, (model) => {
        const read = readModel(writeModel(model));
        verify(read);
        expect(printUntyped(read)).toBe(printUntyped(model));
        expect(read.metadata).toEqual(model.metadata);
        read.graph.initializers.forEach(({ constant, name }) => {
          expect(constant?.bytes).toEqual(model.graph.value(name).constant?.bytes);
        });
        expect(Buffer.compare(writeModel(read), writeModel(model))).toBe(0);
      }),
    );
  });

  it('read a damaged file or refuse it with a typed error, but never crash', () => {
    fc.assert(
      fc.property(models, fc.nat(), fc.integer({ min: 1, max: 255 }), (model, at, flip) => {
        const bytes = writeModel(model);
        bytes[at % bytes.length] ^= flip;
        expect(() => tolerateRefusal(() => verify(readModel(bytes)))).not.toThrow();
      }),
      { numRuns: 500 },
    );
  });

  it('keep the ends of the integer range exact', () => {
    const graph = new Graph();
    const x = graph.addInput('x', 'float32', []);
    const attributes = new Map([['end', int(Infinity)]]);
    const y = new Value('y', { dtype: 'float32', shape: [] });
    graph.addNode(new Node('Slice', '', 'slice', [x], [y], attributes));
    graph.addOutput(y);
    const bytes = writeModel(new Model(graph));
    // 2^63 - 1 as a varint
    expect(Buffer.from(bytes).includes(Buffer.from('ffffffffffffffff7f', 'hex'))).toBe(true);
    expect(readModel(bytes).graph.nodes[0].attribute('end', 'int')).toBe(Infinity);
  });

  it('infer the types that are written, so that stale ones vanish and unknown ones stay unknown', () => {
    const graph = new Graph();
    const x = graph.addInput('x', 'float32', ['batch', 4]);
    const y = new Value('y', { dtype: 'float32', shape: [9, 9] });
    const z = new Value('z', { dtype: 'float32', shape: [9, 9] });
    const end = new Value('end', { dtype: 'float32', shape: [1] });
    graph.addNode(new Node('Relu', '', 'relu', [x], [y]));
    graph.addNode(new Node('Foreign', '', 'foreign', [y], [z]));
    graph.addNode(new Node('Relu', '', 'last', [z], [end]));
    graph.addOutput(end);
    const { values } = readModel(writeModel(new Model(graph))).graph;
    expect([...values.values()].map(String)).toEqual([
      '%x: float32[batch,4]',
      '%y: float32[batch,4]',
      '%z: ?[?]',
      '%end: float32[1]',
    ]);
  });

  it('sorts nodes that stand in the wrong order', () => {
    const nodes = [
      create(NodeProto, { opType: 'Relu', input: ['b'], output: ['c'] }),
      create(NodeProto, { opType: 'Relu', input: ['a'], output: ['b'] }),
    ];
    const model = readModel(file({ node: nodes, input: [float32('a')], output: [float32('c')] }));
    expect(model.graph.nodes.map((node) => node.output().name)).toEqual(['b', 'c']);
    // a node without a name is called after its output
    expect(model.graph.nodes[0].name).toBe('b');
  });

  it('takes an initializer that is also an input for a constant', () => {
    const initializer = [create(TensorProto, { name: 'a', dataType: 1, rawData: new Uint8Array(4) })];
    const node = [create(NodeProto, { opType: 'Relu', input: ['a'], output: ['b'] })];
    const model = readModel(file({ initializer, node, input: [float32('a')], output: [float32('b')] }));
    expect(model.graph.inputs).toEqual([]);
    expect(model.graph.value('a').constant?.toNumbers()).toEqual([0]);
  });

  const refused: Record<string, [Uint8Array, string]> = {
    'an empty file': [new Uint8Array(0), 'onnx.not-a-model'],
    'another protobuf': [encode(TensorProto, create(TensorProto, { dataType: 1 })).finish(), 'onnx.not-a-model'],
    'an old opset': [file({}, { opset: 12n }), 'onnx.opset'],
    'a future opset': [file({}, { opset: 99n }), 'onnx.opset'],
    'a future file format': [file({}, { irVersion: 99n }), 'onnx.ir-version'],
    functions: [file({}, { functions: [new Uint8Array(0)] }), 'onnx.functions'],
    'sparse initializers': [file({ sparseInitializer: [new Uint8Array(0)] }), 'onnx.sparse-initializer'],
    'an input that nothing defines': [
      file({ node: [create(NodeProto, { opType: 'Relu', input: ['x'], output: ['y'] })] }),
      'onnx.unknown-input',
    ],
    'an output that nothing computes': [file({ output: [float32('y')] }), 'onnx.unknown-output'],
    'an input that is no tensor': [file({ input: [create(ValueInfoProto, { name: 'x' })] }), 'onnx.value-type'],
    'two values of one name': [file({ input: [float32('x'), float32('x')] }), 'graph.duplicate-value'],
    'a cycle': [
      file({
        node: [
          create(NodeProto, { opType: 'Relu', input: ['b'], output: ['a'] }),
          create(NodeProto, { opType: 'Relu', input: ['a'], output: ['b'] }),
        ],
      }),
      'graph.cycle',
    ],
    'a string tensor': [withTensor({ dataType: 8 }), 'onnx.data-type'],
    'negative dimensions': [withTensor({ dataType: 1, dims: BigInt64Array.of(-2n, -2n) }), 'onnx.dims'],
    'more elements than there can be': [
      withTensor({ dataType: 1, dims: BigInt64Array.of(2n ** 40n, 2n ** 40n) }),
      'onnx.dims',
    ],
    'too few bytes': [
      withTensor({ dataType: 1, dims: BigInt64Array.of(2n), rawData: new Uint8Array(4) }),
      'onnx.tensor-size',
    ],
    'a side file without a folder': [
      withTensor({ dataType: 1, dataLocation: DataLocation.External }),
      'onnx.external-data',
    ],
  };

  it.each(Object.keys(refused))('refuses %s', (name) => {
    const [bytes, code] = refused[name];
    expect(() => readModel(bytes)).toThrow(expect.objectContaining({ code }));
  });

  it('names the node whose attribute is not supported', () => {
    const sparse = create(AttributeProto, { name: 'a', type: 11 });
    const bytes = file({ node: [create(NodeProto, { opType: 'Odd', name: 'odd', attribute: [sparse] })] });
    expect(() => readModel(bytes)).toThrow(
      expect.objectContaining({ code: 'onnx.attribute-kind', details: { node: 'odd', op: 'Odd' } }),
    );
  });
});
