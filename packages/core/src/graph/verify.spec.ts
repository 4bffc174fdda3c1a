import { Graph, Model, Node, Tensor, Value, verify } from '.';

/** y = Relu(x) + w */
function sample(): { model: Model; graph: Graph; relu: Node; add: Node } {
  const graph = new Graph();
  const x = graph.addInput('x', 'float32', [2]);
  const w = graph.addInitializer('w', Tensor.float32([2], [1, 2]));
  const relu = graph.addNode(new Node('Relu', '', 'relu', [x], [new Value('h')]));
  const add = graph.addNode(new Node('Add', '', 'add', [relu.output(), w], [new Value('y')]));
  graph.addOutput(add.output());
  return { model: new Model(graph), graph, relu, add };
}

type Sample = ReturnType<typeof sample>;

describe('verify', () => {
  it('accepts a well-formed model', () => {
    expect(() => verify(sample().model)).not.toThrow();
  });

  const violations: Record<string, [(sample: Sample) => void, RegExp]> = {
    'a value renamed behind the graph’s back': [
      ({ relu }) => (relu.output().name = 'z'),
      /value "z" is filed under "h"/,
    ],
    'a constant that is an input as well': [({ graph }) => graph.inputs.push(graph.value('w')), /"w" has 2 origins/],
    'a value without an origin': [({ graph }) => graph.addValue(new Value('v')), /"v" has 0 origins/],
    'a constant of another type than declared': [
      ({ graph }) => (graph.value('w').dtype = 'int64'),
      /"w" is declared %w: int64\[2\], but its data is not/,
    ],
    'an input replaced without its use': [
      ({ graph, add }) => (add.inputs[1] = graph.value('x')),
      /"w" believes that node "add" \(Add\) reads it/,
    ],
    'a use that is not noted': [
      ({ graph, relu }) => graph.value('x').uses.delete(relu.slot(0)),
      /"x" does not know its use in node "relu"/,
    ],
    'a wrong producer': [({ relu, add }) => (relu.output().producer = add), /"h" names node "add" \(Add\)/],
    'a value of another graph': [
      ({ graph, add }) => graph.setInput(add, 1, new Value('foreign')),
      /node "add" \(Add\) reads "foreign" before it is computed/,
    ],
    'a consumer before its producer': [
      ({ graph, relu, add }) => {
        graph.addNode(new Node('Neg', '', 'neg', [add.output()], [new Value('n')]), relu);
      },
      /node "neg" \(Neg\) reads "y" before it is computed/,
    ],
    'a domain that is not imported': [
      ({ graph }) => {
        graph.addNode(new Node('FusedGemm', 'com.microsoft', 'fused', [], [new Value('f')]));
      },
      /node "fused" .* domain "com.microsoft", which is not imported/,
    ],
    'an output of nowhere': [({ graph }) => graph.addOutput(new Value('o')), /"o" is not a value of the graph/],
    'an input without a type': [
      ({ graph }) => graph.inputs.push(graph.addValue(new Value('i'))),
      /the input "i" has no element type/,
    ],
  };

  it.each(Object.keys(violations))('refuses %s', (name) => {
    const [violate, message] = violations[name];
    const broken = sample();
    violate(broken);
    expect(() => verify(broken.model)).toThrow(message);
    expect(() => verify(broken.model)).toThrow(expect.objectContaining({ code: 'graph.verify' }));
  });
});
