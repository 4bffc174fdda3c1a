/** @file The graph IR: Model > Graph > Node > Value. ONNX semantics, no protobuf (see `onnx/`). */
import { invalid, unsupported } from '../errors';
import type { Attribute, AttributeType, AttributeValue } from './attribute';
import type { DType } from './dtype';
import type { Shape } from './shape';
import { formatShape } from './shape';
import type { Tensor } from './tensor';

/** Domain of standard ONNX ops. */
export const ONNX_DOMAIN = '';
/** ONNX Runtime's own ops (FusedMatMul, DynamicQuantizeMatMul, ...). */
export const MICROSOFT_DOMAIN = 'com.microsoft';

/** One input slot of a node that reads a value. */
export interface Use {
  readonly node: Node;
  readonly index: number;
}

/** An edge of the graph: a graph input, an initializer (`constant` is set) or the output of its producer. */
export class Value {
  dtype: DType | undefined;
  shape: Shape | undefined;
  /** The data, if this value is an initializer. */
  constant: Tensor | undefined;
  /** Set by Graph when a node is added. */
  producer: Node | undefined;
  /** Input slots that read this value, kept by Graph. */
  readonly uses = new Set<Use>();

  constructor(
    /** Unique within its graph. */
    public name: string,
    type: { dtype?: DType | undefined; shape?: Shape | undefined; constant?: Tensor | undefined } = {},
  ) {
    this.dtype = type.constant?.dtype ?? type.dtype;
    this.shape = type.constant?.dims ?? type.shape;
    this.constant = type.constant;
  }

  /** Nodes that read this value, each once. */
  get consumers(): Node[] {
    return [...new Set([...this.uses].map((use) => use.node))];
  }

  toString(): string {
    return `%${this.name}: ${this.dtype ?? '?'}${this.shape ? formatShape(this.shape) : '[?]'}`;
  }
}

/** One operator application. Inputs may be `null` where ONNX allows an omitted optional input. */
export class Node {
  readonly inputs: (Value | null)[];
  readonly outputs: Value[];
  private readonly slots: Use[] = [];

  constructor(
    readonly opType: string,
    readonly domain: string,
    public name: string,
    inputs: readonly (Value | null)[],
    outputs: readonly Value[],
    readonly attributes: Map<string, Attribute> = new Map(),
  ) {
    this.inputs = [...inputs];
    this.outputs = [...outputs];
  }

  /** Input `index`; an error that names this node if it is absent. */
  input(index: number): Value {
    const value = this.inputs[index];
    if (!value) throw invalid('graph.missing-input', `${this} has no input ${index}.`, this.location);
    return value;
  }

  /** Output `index`; an error that names this node if it is absent. */
  output(index = 0): Value {
    const value = this.outputs[index];
    if (!value) throw invalid('graph.missing-output', `${this} has no output ${index}.`, this.location);
    return value;
  }

  /** An attribute's value, or `fallback` when the node does not carry it; an error on a wrong attribute type. */
  attribute<T extends AttributeType>(name: string, type: T, fallback: AttributeValue<T>): AttributeValue<T>;
  attribute<T extends AttributeType>(name: string, type: T): AttributeValue<T> | undefined;
  attribute(name: string, type: AttributeType, fallback?: Attribute['value']): Attribute['value'] | undefined {
    const attribute = this.attributes.get(name);
    if (!attribute) return fallback;
    if (attribute.type !== type) {
      throw invalid(
        'graph.attribute-type',
        `Attribute "${name}" of ${this} is a ${attribute.type}, not a ${type}.`,
        this.location,
      );
    }
    return attribute.value;
  }

  /** The one Use object that stands for input slot `index`. */
  slot(index: number): Use {
    return (this.slots[index] ??= { node: this, index });
  }

  /** Control-flow bodies among the attributes. */
  get bodies(): Graph[] {
    return [...this.attributes.values()].flatMap((attribute) => (attribute.type === 'graph' ? attribute.value : []));
  }

  /** Values that the node reads, including those that its bodies read from the graph around them. */
  get reads(): Value[] {
    const direct = this.inputs.filter((value) => value !== null);
    return [...direct, ...this.bodies.flatMap((body) => body.nodes.flatMap((node) => node.reads))];
  }

  /** For error details. */
  get location(): { node: string; op: string } {
    return { node: this.name, op: this.opType };
  }

  toString(): string {
    return `node "${this.name}" (${this.domain ? `${this.domain}.` : ''}${this.opType})`;
  }
}

/**
 * A mutable data-flow graph. `nodes` is always in topological order as far as the caller added them so; `sort()`
 * restores it after edits. All edits go through the methods here, which keep producers and uses true.
 */
export class Graph {
  readonly inputs: Value[] = [];
  readonly outputs: Value[] = [];
  private nodeList: Node[] = [];
  private readonly valuesByName = new Map<string, Value>();
  private nameCounter = 0;

  constructor(public name = 'main') {}

  /** In order of execution. A loop over it is not disturbed by insertions and removals, and sees nodes appended. */
  get nodes(): readonly Node[] {
    return this.nodeList;
  }

  /** Every value by name: inputs, initializers and node outputs. */
  get values(): ReadonlyMap<string, Value> {
    return this.valuesByName;
  }

  /** Values that carry data, in order of addition. */
  get initializers(): Value[] {
    return [...this.valuesByName.values()].filter((value) => value.constant);
  }

  value(name: string): Value {
    const value = this.valuesByName.get(name);
    if (!value) throw invalid('graph.unknown-value', `The graph has no value "${name}".`);
    return value;
  }

  /** A name not used yet, starting with `hint`. */
  uniqueName(hint: string): string {
    let name = hint;
    while (this.valuesByName.has(name)) name = `${hint}_${++this.nameCounter}`;
    return name;
  }

  /** Registers a value made elsewhere. */
  addValue(value: Value): Value {
    if (this.valuesByName.has(value.name)) {
      throw invalid('graph.duplicate-value', `Two values of the graph are named "${value.name}".`);
    }
    this.valuesByName.set(value.name, value);
    return value;
  }

  addInput(name: string, dtype: DType, shape: Shape): Value {
    const value = this.addValue(new Value(name, { dtype, shape }));
    this.inputs.push(value);
    return value;
  }

  addInitializer(name: string, constant: Tensor): Value {
    return this.addValue(new Value(name, { constant }));
  }

  addOutput(value: Value): void {
    this.outputs.push(value);
  }

  /** Appends a node (or inserts it before `before`), registering its outputs and uses. */
  addNode(node: Node, before?: Node): Node {
    for (const output of node.outputs) {
      if (output.name === '') continue; // an omitted optional output
      if (this.valuesByName.get(output.name) !== output) this.addValue(output);
      output.producer = node;
    }
    node.inputs.forEach((value, index) => value?.uses.add(node.slot(index)));
    if (before) this.nodeList = this.nodeList.toSpliced(this.nodeList.indexOf(before), 0, node);
    else this.nodeList.push(node);
    return node;
  }

  /** Removes a node; its outputs must be unused. */
  removeNode(node: Node): void {
    this.removeNodes([node]);
  }

  /** Removes nodes whose outputs nothing else reads, in one sweep over the graph. */
  removeNodes(nodes: Iterable<Node>): void {
    const removed = new Set(nodes);
    for (const node of removed) this.detach(node);
    for (const node of removed) {
      for (const output of node.outputs) {
        if (output.uses.size > 0 || this.outputs.includes(output)) {
          throw invalid('graph.value-in-use', `Output "${output.name}" of ${node} is still used.`, node.location);
        }
        this.valuesByName.delete(output.name);
        output.producer = undefined;
      }
    }
    this.nodeList = this.nodeList.filter((node) => !removed.has(node));
  }

  /** Lets a node and its bodies read nothing any more. */
  private detach(node: Node): void {
    node.inputs.forEach((_, index) => this.setInput(node, index, null));
    for (const body of node.bodies) for (const inner of body.nodes) this.detach(inner);
  }

  /** Removes an initializer or input that nothing reads. */
  removeValue(value: Value): void {
    if (value.uses.size > 0 || this.outputs.includes(value) || value.producer) {
      throw invalid('graph.value-in-use', `Value "${value.name}" is still used.`);
    }
    this.valuesByName.delete(value.name);
    const index = this.inputs.indexOf(value);
    if (index >= 0) this.inputs.splice(index, 1);
  }

  /** Renames a value everywhere. */
  renameValue(value: Value, name: string): void {
    if (value.name === name) return;
    if (this.valuesByName.has(name)) throw invalid('graph.duplicate-value', `The name "${name}" is taken.`);
    this.valuesByName.delete(value.name);
    value.name = name;
    this.valuesByName.set(name, value);
  }

  /** Points one input slot at another value. */
  setInput(node: Node, index: number, value: Value | null): void {
    const slot = node.slot(index);
    node.inputs[index]?.uses.delete(slot);
    node.inputs[index] = value;
    value?.uses.add(slot);
  }

  /** Makes every reader of `from`, graph outputs included, read `to` instead. */
  replaceAllUses(from: Value, to: Value): void {
    for (const { node, index } of from.uses) this.setInput(node, index, to);
    this.outputs.forEach((output, i) => {
      if (output === from) this.outputs[i] = to;
    });
  }

  /** Puts nodes that no other node reads behind all others, in the given order. */
  moveToEnd(leaves: readonly Node[]): void {
    const moved = new Set(leaves);
    this.nodeList = [...this.nodeList.filter((node) => !moved.has(node)), ...leaves];
  }

  /**
   * Orders nodes so that producers precede consumers. A node moves only if one that it needs stands behind it, so a
   * sorted list stays as it is. @throws ModelpressError `graph.cycle`
   */
  sort(): void {
    const own = new Set(this.nodeList);
    const open = new Set<Node>(); // nodes on the path from a root to the top of the stack
    const sorted = new Set<Node>();
    for (const root of this.nodeList) {
      const stack = [root];
      while (stack.length > 0) {
        const node = stack[stack.length - 1];
        const missing = node.reads.flatMap(({ producer }) =>
          producer && own.has(producer) && !sorted.has(producer) ? producer : [],
        );
        if (missing.length === 0) {
          sorted.add(node);
          stack.pop();
          continue;
        }
        open.add(node);
        const again = missing.find((producer) => open.has(producer));
        if (again) throw invalid('graph.cycle', `The graph has a cycle through ${again}.`, again.location);
        stack.push(...missing.reverse());
      }
    }
    this.nodeList = [...sorted];
  }
}

/** A graph with what ONNX stores around it. */
export class Model {
  constructor(
    readonly graph: Graph,
    /** Opset version by domain; '' is the standard domain. */
    readonly opsets: Map<string, number> = new Map([[ONNX_DOMAIN, 21]]),
    readonly metadata: Map<string, string> = new Map(),
    public irVersion = 10,
    readonly producer = 'modelpress',
  ) {}

  /** Opset of the standard domain. */
  get opset(): number {
    const version = this.opsets.get(ONNX_DOMAIN);
    if (version === undefined) throw unsupported('onnx.no-opset', 'The model imports no standard opset.');
    return version;
  }
}
