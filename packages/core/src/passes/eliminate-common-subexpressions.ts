import type { Attribute, Graph, Node, Tensor, Value } from '../graph';
import type { Pass } from './pass';
import { isParameter } from './rewrite';

/** Ops that give something else each time. */
const RANDOM: ReadonlySet<string> = new Set([
  'Bernoulli',
  'Dropout',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
]);

/** Constants above so many bytes are not compared. */
const MAX_CONSTANT_BYTES = 1024;

/**
 * Computes once what is computed several times, and shares equal small constants. Weights are left apart: two may be
 * equal today and trained differently tomorrow.
 * ```
 * %a = Sub(%x, %m)
 * %b = Sub(%x, %m)
 * %c = Mul(%a, %b)   ->   %c = Mul(%a, %a)
 * ```
 */
export const eliminateCommonSubexpressions: Pass = ({ graph }) => {
  const sharedConstants = shareConstants(graph);
  const ids = new Map<Value, number>();
  const idOf = (value: Value | null): number => {
    if (!value) return -1;
    const id = ids.get(value) ?? ids.size;
    ids.set(value, id);
    return id;
  };

  const first = new Map<string, Node>();
  const duplicates: Node[] = [];
  for (const node of graph.nodes) {
    const isOutput = node.outputs.some((output) => graph.outputs.includes(output));
    if (isOutput || RANDOM.has(node.opType) || node.bodies.length > 0) continue;
    const key = JSON.stringify([
      node.domain,
      node.opType,
      node.outputs.length,
      node.inputs.map(idOf),
      [...node.attributes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => [name, attributeKey(value)]),
    ]);
    const same = first.get(key);
    if (!same) {
      first.set(key, node);
      continue;
    }
    node.outputs.forEach((output, i) => graph.replaceAllUses(output, same.output(i)));
    duplicates.push(node);
  }
  graph.removeNodes(duplicates);
  return { modified: sharedConstants || duplicates.length > 0 };
};

function shareConstants(graph: Graph): boolean {
  const first = new Map<string, Value>();
  let modified = false;
  for (const value of graph.initializers) {
    const { constant } = value;
    if (!constant || constant.bytes.length > MAX_CONSTANT_BYTES || isParameter(value)) continue;
    if (graph.outputs.includes(value)) continue;
    const key = tensorKey(constant);
    const same = first.get(key);
    if (same) {
      graph.replaceAllUses(value, same);
      graph.removeValue(value);
      modified = true;
    } else {
      first.set(key, value);
    }
  }
  return modified;
}

const tensorKey = ({ dtype, dims, bytes }: Tensor): string =>
  `${dtype}[${dims.join()}]${Buffer.from(bytes).toString('base64')}`;

/** Two attributes are equal if their keys are. -0 and 0 differ. */
function attributeKey({ type, value }: Attribute): string {
  const numberKey = (x: number): string => (Object.is(x, -0) ? '-0' : String(x));
  switch (type) {
    case 'tensor':
      return tensorKey(value);
    case 'int':
    case 'float':
      return `${type} ${numberKey(value)}`;
    case 'ints':
    case 'floats':
      return `${type} ${value.map(numberKey).join()}`;
    case 'string':
    case 'strings':
      return `${type} ${JSON.stringify(value)}`;
    case 'graph':
      throw new TypeError('Nodes with bodies are not compared.');
  }
}
