/** @file The invariants of the IR. Tests run this after every rewrite. */
import { invalid } from '../errors';
import type { Graph, Model, Node, Value } from './graph';
import { sameShape } from './shape';

/**
 * Checks that a model is well-formed: every value has one origin and one name, uses and producers point both ways,
 * producers stand before consumers, types of constants agree with their data, and every operator domain is imported.
 * @throws ModelpressError `graph.verify`, naming the node where there is one
 */
export function verify(model: Model): void {
  verifyGraph(model.graph, model, new Set());
}

const broken = (reason: string, node?: Node): Error =>
  invalid('graph.verify', `The graph is not well-formed: ${reason}.`, node?.location);

/** @param outer values that a control-flow body may read from the graphs around it */
function verifyGraph(graph: Graph, model: Model, outer: ReadonlySet<Value>): void {
  const nodes = new Set(graph.nodes);
  if (nodes.size < graph.nodes.length) throw broken('a node is listed twice');
  for (const [name, value] of graph.values) verifyValue(graph, name, value, nodes);
  verifyEnds(graph);

  const available = new Set([...outer, ...[...graph.values.values()].filter((value) => !value.producer)]);
  for (const node of graph.nodes) {
    if (!model.opsets.has(node.domain))
      throw broken(`${node} is of domain "${node.domain}", which is not imported`, node);
    node.inputs.forEach((value, index) => {
      if (!value) return;
      if (!available.has(value)) throw broken(`${node} reads "${value.name}" before it is computed`, node);
      if (!value.uses.has(node.slot(index))) throw broken(`"${value.name}" does not know its use in ${node}`, node);
    });
    for (const body of node.bodies) verifyGraph(body, model, available);
    for (const output of node.outputs) {
      if (output.name === '') continue;
      if (graph.values.get(output.name) !== output)
        throw broken(`output "${output.name}" of ${node} is not in the graph`, node);
      if (available.has(output)) throw broken(`"${output.name}" is computed twice`, node);
      available.add(output);
    }
  }
}

function verifyValue(graph: Graph, name: string, value: Value, nodes: ReadonlySet<Node>): void {
  const { constant, producer } = value;
  if (name !== value.name || name === '') throw broken(`value "${value.name}" is filed under "${name}"`);
  const origins = [constant, producer, graph.inputs.includes(value)].filter(Boolean).length;
  if (origins !== 1) throw broken(`"${name}" has ${origins} origins (input, constant or node) instead of one`);
  if (constant && (value.dtype !== constant.dtype || !sameShape(value.shape ?? [], constant.dims))) {
    throw broken(`"${name}" is declared ${value}, but its data is not`);
  }
  if (producer && !(nodes.has(producer) && producer.outputs.includes(value))) {
    throw broken(`"${name}" names ${producer} as its producer, which does not compute it`, producer);
  }
  for (const { node, index } of value.uses) {
    if (node.inputs[index] !== value) throw broken(`"${name}" believes that ${node} reads it`, node);
    const reader = nodes.has(node) || graph.nodes.some(({ bodies }) => bodies.some((body) => contains(body, node)));
    if (!reader) throw broken(`"${name}" is read by ${node}, which is not in the graph`, node);
  }
}

const contains = (graph: Graph, node: Node): boolean =>
  graph.nodes.includes(node) || graph.nodes.some(({ bodies }) => bodies.some((body) => contains(body, node)));

function verifyEnds(graph: Graph): void {
  for (const value of [...graph.inputs, ...graph.outputs]) {
    if (graph.values.get(value.name) !== value) throw broken(`"${value.name}" is not a value of the graph`);
  }
  if (new Set(graph.inputs).size < graph.inputs.length) throw broken('an input is listed twice');
  const untyped = graph.inputs.find((value) => !value.dtype);
  if (untyped) throw broken(`the input "${untyped.name}" has no element type`);
}
