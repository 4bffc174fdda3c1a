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
    return { value, gate: addGate(build, graph.value(value), axis, `${value}.gate`) };
  });
  const modelOutputs = new Map(source.graph.outputs.map(({ name }, i) => [name, graph.outputs[i]]));
  const kept = (options.outputs ?? [...modelOutputs.keys()]).map((name) => modelOutputs.get(name) ?? graph.value(name));
  graph.outputs.splice(0);

  const loss = options.loss(build, modelOutputs);
  const tables = parameters.filter(isRowTable);
  const dense = parameters.filter((parameter) => !tables.includes(parameter));
  const lookups = tables.flatMap((table) => table.consumers.map((node) => node.output()));
  const wanted = [...dense, ...lookups, ...activations, ...gates.map(({ gate }) => gate)];
  const gradientOf = differentiate(build, loss, wanted);

  const expose = exposer(build);
  const required = (value: Value): Value => {
    const gradient = gradientOf.get(value);
    if (!gradient) throw invalid('autodiff.independent', `The loss does not depend on "${value.name}".`);
    return gradient;
  };
  // Values of the model come first, so that they keep their names.
  const outputs = kept.map((value) => expose(value, value.name));
  const activationOutputs = activations.map((activation): [string, { value: string; gradient: string }] => {
    const value = expose(activation, activation.name);
    return [activation.name, { value, gradient: expose(required(activation), `grad.${activation.name}`) }];
  });
  const gateOutputs = gates.map(({ value, gate }): [string, { input: string; gradient: string }] => {
    return [value, { input: gate.name, gradient: expose(required(gate), `grad.${gate.name}`) }];
  });
  const gradients = new Map<string, ParameterGradient>();
  for (const parameter of dense) {
    const gradient = gradientOf.get(parameter);
    if (gradient) gradients.set(parameter.name, { kind: 'dense', output: expose(gradient, `grad.${parameter.name}`) });
  }
  for (const table of tables) {
    const found = rowGradient(build, table, gradientOf);
    if (!found) continue;
    const rows = expose(found.rows, `grad.${table.name}.rows`);
    const ids = graph.inputs.includes(found.ids) ? found.ids.name : expose(found.ids, `grad.${table.name}.ids`);
    gradients.set(table.name, { kind: 'rows', ids, rows });
  }
  const lossName = expose(loss, 'loss');
  removeDeadCode(model);
  return {
    model,
    loss: lossName,
    gradients,
    outputs,
    activations: new Map(activationOutputs),
    gates: new Map(gateOutputs),
  };
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

/** Declares values as outputs under a name; an input, a constant or what is an output already gets a copy for it. */
function exposer(build: GraphBuilder): (value: Value, name: string) => string {
  return (value, name) => {
    const { graph } = build;
    const own = value.producer && !graph.outputs.includes(value) ? value : build.op('Identity', [value]);
    return build.output(own, own.name === name ? name : graph.uniqueName(name)).name;
  };
}
