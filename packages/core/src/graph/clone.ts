import { Graph, Model, Node, Value } from './graph';

/** A copy that can be changed without touching the original. Tensors are shared: they count as immutable. */
export const clone = (model: Model): Model =>
  new Model(
    cloneGraph(model.graph, new Map()),
    new Map(model.opsets),
    new Map(model.metadata),
    model.irVersion,
    model.producer,
  );

/** @param copies values around a control-flow body, by original; the graph's own are added */
function cloneGraph(graph: Graph, copies: Map<Value, Value>): Graph {
  const copy = new Graph(graph.name);
  for (const value of graph.values.values()) copies.set(value, copy.addValue(new Value(value.name, value)));
  const copyOf = (value: Value): Value => copies.get(value) ?? new Value('', value); // an omitted output

  copy.inputs.push(...graph.inputs.map(copyOf));
  for (const { opType, domain, name, inputs, outputs, attributes } of graph.nodes) {
    const copiedAttributes = new Map(attributes);
    for (const [key, attribute] of attributes) {
      if (attribute.type === 'graph') {
        copiedAttributes.set(key, { type: 'graph', value: cloneGraph(attribute.value, copies) });
      }
    }
    const copiedInputs = inputs.map((value) => value && copyOf(value));
    copy.addNode(new Node(opType, domain, name, copiedInputs, outputs.map(copyOf), copiedAttributes));
  }
  copy.outputs.push(...graph.outputs.map(copyOf));
  return copy;
}
