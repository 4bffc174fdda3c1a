/** @file Turns a model into the graph of one training step: forward, loss, backward. */
import { invalid } from '../errors';
import { clone } from '../graph';
import type { Model, Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { promoteToInputs, raiseOpset, removeDeadCode } from '../passes';
import { differentiate } from './differentiate';
import { addGate } from './gates';
import { isRowTable, rowGradient } from './row-gradients';

/** Where the gradient of a parameter comes out. */
export type ParameterGradient =
  /** Graph output of the parameter's shape. */
  | { readonly kind: 'dense'; readonly output: string }
  /** A table read by index: `rows` [n, width] are to be added at `ids` [n], which may repeat and may be negative. */
  | { readonly kind: 'rows'; readonly ids: string; readonly rows: string };

export interface GateOptions {
  /** Name of the value to gate. */
  readonly value: string;
  /** Axis that the gate vector runs along. */
  readonly axis: number;
}

export interface TrainingGraphOptions {
  /** Names of the initializers to train; they become graph inputs. */
  readonly parameters: readonly string[];
  /**
   * Appends the loss, a float32 scalar. May declare further inputs (labels, teacher logits) with `build.input`.
   * @param outputs the model's outputs by name, after gating
   */
  readonly loss: (build: GraphBuilder, outputs: ReadonlyMap<string, Value>) => Value;
  /** Names of values to output beside the loss; default: the model's outputs. */
  readonly outputs?: readonly string[];
  /** Names of values to output together with their gradients, for neuron importance. */
  readonly activations?: readonly string[];
  readonly gates?: readonly GateOptions[];
}

export interface TrainingGraph {
  readonly model: Model;
  /** Name of the scalar output. */
  readonly loss: string;
  /** By parameter; a parameter that the loss does not depend on has no entry. */
  readonly gradients: ReadonlyMap<string, ParameterGradient>;
  /** Names of the graph outputs for `options.outputs`, in their order. */
  readonly outputs: readonly string[];
  /** By activation: the outputs that hold its value and its gradient. */
  readonly activations: ReadonlyMap<string, { readonly value: string; readonly gradient: string }>;
  /** By gated value: the gate's input and the output that holds its gradient. */
  readonly gates: ReadonlyMap<string, { readonly input: string; readonly gradient: string }>;
}

/**
 * Builds the training graph of a model with static shapes (see `passes/specialise`); the model itself is left alone.
 * @throws `autodiff.*`, `loss.*`, `ops.*`: an op without gradient, a dynamic shape, a parameter that is none
 */
export function buildTrainingGraph(source: Model, options: TrainingGraphOptions): TrainingGraph {
  const model = clone(source);
  const { graph } = model;
  raiseOpset(model);
  const build = new GraphBuilder(model);
  const parameters = promote(model, options.parameters);
  const activations = (options.activations ?? []).map((name) => graph.value(name));
  const gates = (options.gates ?? []).map(({ value, axis }) => {
    return { name: value, input: addGate(build, graph.value(value), axis, `${value}.gate`) };
  });
  const modelOutputs = new Map(source.graph.outputs.map(({ name }, i) => [name, graph.outputs[i]]));
  const kept = (options.outputs ?? [...modelOutputs.keys()]).map((name) => modelOutputs.get(name) ?? graph.value(name));
  graph.outputs.splice(0);

  const loss = options.loss(build, modelOutputs);
  const tables = parameters.filter(isRowTable);
  const dense = parameters.filter((parameter) => !tables.includes(parameter));
  const lookups = tables.flatMap((table) => table.consumers.map((node) => node.output()));
  const wanted = [...dense, ...lookups, ...activations, ...gates.map(({ input }) => input)];
  const gradientOf = differentiate(build, loss, wanted);

  const expose = exposer(build);
  const exposeGradient = (value: Value): string => {
    const gradient = gradientOf.get(value);
    if (!gradient) throw invalid('autodiff.independent', `The loss does not depend on "${value.name}".`);
    return expose(gradient, `grad.${value.name}`);
  };
  // Values of the model come first, so that they keep their names.
  const outputs = kept.map((value) => expose(value, value.name));
  const activationOutputs = activations.map((value) => expose(value, value.name));
  const result = {
    model,
    outputs,
    activations: new Map(
      activations.map((value, i) => [value.name, { value: activationOutputs[i], gradient: exposeGradient(value) }]),
    ),
    gates: new Map(gates.map(({ name, input }) => [name, { input: input.name, gradient: exposeGradient(input) }])),
    gradients: new Map([
      ...dense.flatMap((parameter): [string, ParameterGradient][] =>
        gradientOf.has(parameter) ? [[parameter.name, { kind: 'dense', output: exposeGradient(parameter) }]] : [],
      ),
      ...tables.flatMap((table) => tableGradient(build, table, gradientOf, expose)),
    ]),
    loss: expose(loss, 'loss'),
  };
  removeDeadCode(model);
  return result;
}

/** The entry of a table whose gradient comes as rows, or none. */
function tableGradient(
  build: GraphBuilder,
  table: Value,
  gradientOf: ReadonlyMap<Value, Value>,
  expose: Expose,
): [string, ParameterGradient][] {
  const found = rowGradient(build, table, gradientOf);
  if (!found) return [];
  const rows = expose(found.rows, `grad.${table.name}.rows`);
  const isInput = build.graph.inputs.includes(found.ids);
  const ids = isInput ? found.ids.name : expose(found.ids, `grad.${table.name}.ids`);
  return [[table.name, { kind: 'rows', ids, rows }]];
}

/** Makes trained initializers graph inputs. */
function promote(model: Model, names: readonly string[]): Value[] {
  promoteToInputs(model, names);
  return names.map((name) => {
    const value = model.graph.value(name);
    if (value.dtype === 'float32') return value;
    throw invalid('autodiff.parameter', `Parameter "${name}" is ${value.dtype}; only float32 can be trained.`);
  });
}

type Expose = (value: Value, name: string) => string;

/** Declares values as outputs under a name; an input, a constant or what is an output already gets a copy for it. */
function exposer(build: GraphBuilder): Expose {
  return (value, name) => {
    const { graph } = build;
    const own = value.producer && !graph.outputs.includes(value) ? value : build.op('Identity', [value]);
    return build.output(own, own.name === name ? name : graph.uniqueName(name)).name;
  };
}
