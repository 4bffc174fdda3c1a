/** @file Arbitrary models for property tests, what they are compared by, and files as others write them. */
import fc from 'fast-check';
import { ModelpressError } from '../errors';
import type { Attribute, DType } from '../graph';
import { byteLength, clone, DTYPES, Graph, Model, Node, print, Tensor, Value } from '../graph';
import { ModelProto } from './proto';
import { decodeModel } from './read';
import { encode } from './wire';

const dtypes = fc.constantFrom(...(Object.keys(DTYPES) as DType[]));

/** Tensors of any dtype and any bits. */
export const tensors: fc.Arbitrary<Tensor> = fc
  .record({ dtype: dtypes, dims: fc.array(fc.nat(4), { maxLength: 3 }) })
  .chain(({ dtype, dims }) => {
    const length = byteLength(
      dtype,
      dims.reduce((a, b) => a * b, 1),
    );
    return fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => new Tensor(dtype, dims, bytes));
  });

const float32 = fc.float({ noNaN: true });
const integer = fc.oneof(fc.maxSafeInteger(), fc.constantFrom(Infinity, -Infinity));
const text = fc.string({ unit: 'grapheme' });

const attributes: fc.Arbitrary<Attribute> = fc.oneof(
  fc.record({ type: fc.constant('int' as const), value: integer }),
  fc.record({ type: fc.constant('ints' as const), value: fc.array(integer) }),
  fc.record({ type: fc.constant('float' as const), value: float32 }),
  fc.record({ type: fc.constant('floats' as const), value: fc.array(float32) }),
  fc.record({ type: fc.constant('string' as const), value: text }),
  fc.record({ type: fc.constant('strings' as const), value: fc.array(text) }),
  fc.record({ type: fc.constant('tensor' as const), value: tensors }),
);

const dims = fc.array(fc.oneof(fc.nat(8), fc.constantFrom('batch', 'sequence')), { maxLength: 3 });

interface NodePlan {
  readonly opType: string;
  /** Each picks one of the values known so far, or none. */
  readonly inputs: readonly number[];
  readonly outputs: number;
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** Nodes of a control-flow body. */
  readonly body: readonly NodePlan[];
}

const { plans } = fc.letrec<{ plans: NodePlan[] }>((tie) => ({
  plans: fc.array(
    fc.record({
      opType: fc.constantFrom('Relu', 'Concat', 'If'),
      inputs: fc.array(fc.nat(), { maxLength: 3 }),
      outputs: fc.integer({ min: 1, max: 2 }),
      attributes: fc.dictionary(text, attributes, { maxKeys: 2 }),
      body: fc.oneof({ depthSize: 'small', withCrossShrink: true }, fc.constant([]), tie('plans')),
    }),
    { maxLength: 4 },
  ),
}));

/** Well-formed models with nodes, attributes, constants and bodies of any kind. The ops mean nothing. */
export const models: fc.Arbitrary<Model> = fc
  .record({
    inputs: fc.array(fc.record({ dtype: dtypes, dims }), { minLength: 1, maxLength: 3 }),
    constants: fc.array(tensors, { maxLength: 3 }),
    nodes: plans,
    metadata: fc.dictionary(text, text, { maxKeys: 2 }),
  })
  .map(({ inputs, constants, nodes, metadata }) => {
    const graph = new Graph();
    inputs.forEach(({ dtype, dims }, i) => graph.addInput(`input ${i}`, dtype, dims));
    constants.forEach((tensor, i) => graph.addInitializer(`constant ${i}`, tensor));
    addNodes(graph, nodes, [...graph.values.values()], 'n');
    return new Model(graph, new Map([['', 21]]), new Map(Object.entries(metadata)));
  });

function addNodes(graph: Graph, plans: readonly NodePlan[], known: readonly Value[], prefix: string): void {
  const readable = [...known];
  plans.forEach((plan, i) => {
    const name = `${prefix}${i}`;
    const attributes = new Map(Object.entries(plan.attributes));
    if (plan.body.length > 0) {
      const body = new Graph(`${name} body`);
      addNodes(body, plan.body, readable, `${name}.`);
      attributes.set('body', { type: 'graph', value: body });
    }
    const inputs = plan.inputs.map((pick) => readable[pick % (readable.length + 1)] ?? null);
    // the second output is sometimes an omitted one
    const outputs = Array.from({ length: plan.outputs }, (_, j) => new Value(j === 1 && i % 2 ? '' : `${name}:${j}`));
    graph.addNode(new Node(plan.opType, '', name, inputs, outputs, attributes));
    readable.push(...outputs.filter((output) => output.name !== ''));
  });
  const last = graph.nodes.at(-1)?.output();
  if (last) graph.addOutput(Object.assign(last, { dtype: 'float32', shape: ['batch'] }));
}

/** The text of a model without the types of what its nodes compute, which are inferred on writing. */
export function printUntyped(model: Model): string {
  const untyped = clone(model);
  for (const node of untyped.graph.nodes) {
    for (const output of node.outputs) Object.assign(output, { dtype: undefined, shape: undefined });
  }
  return print(untyped);
}

/** Runs something that may refuse its input with a typed error; any other error is passed on. */
export function tolerateRefusal(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof ModelpressError)) throw error;
  }
}

/** A file with every Sum named Add, as other exporters write residual additions. */
export function withAdd(bytes: Uint8Array): Uint8Array {
  const proto = decodeModel(bytes);
  const node = proto.graph.node.map((each) => ({ ...each, opType: each.opType === 'Sum' ? 'Add' : each.opType }));
  return encode(ModelProto, { ...proto, graph: { ...proto.graph, node } }).finish();
}
