/** @file Physical removal in a graph that another toolchain made: rows, columns and head sizes are changed in place. */
import { refreshManifest } from '../bundle';
import type { Bundle } from '../bundle';
import { syntheticInputs } from '../bench/inputs';
import type { ComponentEntry } from '../bundle/manifest';
import { unsupported } from '../errors';
import { clone, int, Node, ONNX_DOMAIN, Tensor, Value } from '../graph';
import type { Graph, Model } from '../graph';
import { findAnatomy } from '../models';
import type { Linear } from '../models';
import { constantOf } from '../ops/constant-value';
import { inferShapes } from '../passes/infer-shapes';
import { ortRuntime } from '../runtime';
import { neuronMasks } from './neuron-masks';
import { headSlots, sizesOf } from './head-slots';
import { componentsOf, shrinkLayer } from './shrink-layer';
import type { KeepPlan } from './neurons';

/**
 * The same model with every matrix of the component map stored [in, out] and read as it is stored, which is what masks
 * and importances count on.
 */
export function straighten(bundle: Bundle): Bundle {
  const turned = bundle.manifest.components.filter(({ transposed, layer }) => transposed && layer !== undefined);
  if (turned.length === 0) return bundle;
  const model = clone(bundle.model);
  const { graph } = model;
  const linears = linearsByWeight(graph);
  for (const { weight } of turned) {
    const linear = linears.get(weight);
    if (!linear) throw refusal(`the linear layer of "${weight}" was not found again`);
    const value = graph.value(weight);
    setConstant(value, transposed(value.constant!));
    graph.setInput(linear.node, 1, value);
    if (linear.node.opType === 'Gemm') linear.node.attributes.set('transB', int(0));
  }
  inferShapes(model);
  const components = bundle.manifest.components.map((entry): ComponentEntry => {
    const { transposed: _, ...straight } = entry;
    return turned.includes(entry) ? straight : entry;
  });
  return { ...bundle, model, manifest: { ...bundle.manifest, components } };
}

/**
 * Cuts what a plan removes out of a straightened foreign graph. Removed neurons must be masked, biases included; every
 * layer keeps its attention and its feed-forward block, and heads end up equal (padded to the largest).
 * @throws unsupported `prune.foreign` for a plan or a graph that it cannot follow
 */
export function shrinkForeign(bundle: Bundle, plan: KeepPlan): Bundle {
  const { manifest } = bundle;
  const structure = manifest.structure!;
  const model = clone(bundle.model);
  const { graph } = model;
  const { layers: found } = findAnatomy(graph);
  const layers = plan.layers.map((keep, l) => {
    const before = structure.layers[l];
    const slots = keep ? headSlots(before, keep, 'padded') : [];
    if (!keep || keep.ffn.length === 0 || !slots[0]?.query.length) {
      throw refusal(`layer ${l} would lose all of its attention or feed-forward block`);
    }
    const entries = componentsOf(manifest.components, l);
    const tensors = new Map(graph.initializers.map((value) => [value.name, value.constant!] as const));
    shrinkLayer(tensors, entries, before, { slots, ffn: keep.ffn }, 'relu');
    for (const { weight, bias } of Object.values(entries)) {
      for (const name of bias === undefined ? [weight] : [weight, bias])
        setConstant(graph.value(name), tensors.get(name)!);
    }
    const { attention } = found[l];
    if (!attention?.query || !attention.key) throw refusal(`layer ${l} has no queries and keys`);
    const heads = slots.length;
    const [queryDim, valueDim] = [slots[0].query.length, slots[0].value.length];
    splitInto(model, attention.query, heads, queryDim);
    splitInto(model, attention.key, heads, queryDim);
    splitInto(model, attention.value, heads, valueDim);
    mergeInto(model, attention.output, heads * valueDim);
    return sizesOf(slots, keep.ffn.length);
  });
  inferShapes(model);
  return { ...bundle, model, manifest: refreshManifest(manifest, model, { structure: { ...structure, layers } }) };
}

/** Positions and rows of the trial's batch, and how much its outputs may differ, relative to the largest. */
const TRIAL = { batch: 2, sequence: 9, tolerance: 1e-3 };

/**
 * Removes half of everything from a copy and compares it with the masked model, so that a graph that computes with the
 * old sizes somewhere is refused before any training.
 * @throws unsupported `prune.foreign`
 */
export async function tryShrinkForeign(bundle: Bundle, threads: number): Promise<void> {
  const { manifest } = bundle;
  const structure = manifest.structure!;
  const half = (size: number): number[] => Array.from({ length: Math.ceil(size / 2) }, (_, i) => 2 * i);
  const plan: KeepPlan = {
    layers: structure.layers.map(({ queryDims, valueDims, ffn }) => ({
      queryDims: queryDims.map(half),
      valueDims: valueDims.map(half),
      ffn: half(ffn),
    })),
  };
  const masked = { ...bundle, model: clone(bundle.model) };
  for (const [name, mask] of neuronMasks(manifest.components, structure, plan)) {
    const value = masked.model.graph.value(name);
    const data = value.constant!.data as Float32Array;
    value.constant = Tensor.float32(
      value.constant!.dims,
      data.map((x, i) => x * mask[i]),
    );
  }
  const sequence = Math.min(TRIAL.sequence, manifest.maxLength);
  const feeds = syntheticInputs(manifest, structure.vocabulary, { batch: TRIAL.batch, sequence }, 0);
  const outputs: Float32Array[] = [];
  for (const { model } of [masked, shrinkForeign(masked, plan)]) {
    const executable = await ortRuntime.compile(model, { threads });
    outputs.push((await executable.run(feeds))[manifest.output].data as Float32Array);
    await executable.release();
  }
  const [expected, actual] = outputs;
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[i])), 0);
  if (worst > TRIAL.tolerance * largest) {
    throw refusal(`in a trial the smaller model's outputs differed by ${worst.toExponential(1)}`);
  }
}

const linearsByWeight = (graph: Graph): ReadonlyMap<string, Linear> =>
  new Map(
    findAnatomy(graph).layers.flatMap(({ attention, ffn }) =>
      [attention?.query, attention?.key, attention?.value, attention?.output, ffn?.intermediate, ffn?.output].flatMap(
        (linear) => (linear ? [[linear.weight.name, linear] as const] : []),
      ),
    ),
  );

/** The Reshape below a projection that splits it into heads: [..., heads, dim]. */
function splitInto(model: Model, linear: Linear, heads: number, dim: number): void {
  const reshape = linear.output.consumers.find((node) => node.opType === 'Reshape');
  if (!reshape) throw refusal(`no Reshape splits ${linear.node} into heads`);
  setEnd(model, reshape, [heads, dim]);
}

/** The Reshape above the output projection that joins the heads: [..., width]. */
function mergeInto(model: Model, linear: Linear, width: number): void {
  const reshape = linear.input.producer;
  if (reshape?.opType !== 'Reshape') throw refusal(`no Reshape joins the heads before ${linear.node}`);
  setEnd(model, reshape, [width]);
}

/**
 * Sets the last entries of a Reshape's target, which are constants by themselves or in a Concat; -1 stays. The target is
 * made anew, because exporters share it among Reshapes.
 */
function setEnd({ graph }: Model, reshape: Node, end: readonly number[]): void {
  const target = reshape.input(1);
  const wanted = (old: number, index: number, length: number): number =>
    old === -1 ? old : (end[index - length + end.length] ?? old);
  const numbers = constantOf(target)?.toNumbers();
  if (numbers) {
    const changed = numbers.map((old, i) => wanted(old, i, numbers.length));
    graph.setInput(reshape, 1, shapeConstant(graph, changed));
    return;
  }
  const concat = target.producer;
  if (concat?.opType !== 'Concat') throw refusal(`the target of ${reshape} is computed`);
  const parts = concat.inputs.map((_, i) => {
    const part = concat.input(i);
    if (i < concat.inputs.length - end.length) return part;
    const old = constantOf(part)?.toNumbers();
    if (old?.length !== 1) throw refusal(`the target of ${reshape} is computed`);
    return shapeConstant(graph, [wanted(old[0], i, concat.inputs.length)]);
  });
  const name = graph.uniqueName(`${target.name}.pruned`);
  const output = new Value(name, { dtype: 'int64', shape: [parts.length] });
  graph.addNode(new Node('Concat', ONNX_DOMAIN, name, parts, [output], new Map(concat.attributes)), reshape);
  graph.setInput(reshape, 1, output);
}

function setConstant(value: Value, tensor: Tensor): void {
  value.constant = tensor;
  value.shape = tensor.dims;
}

const shapeConstant = (graph: Graph, values: readonly number[]): Value =>
  graph.addInitializer(graph.uniqueName('pruned_shape'), Tensor.int64([values.length], values));

function transposed(tensor: Tensor): Tensor<'float32'> {
  if (!tensor.is('float32')) throw refusal(`its weights are ${tensor.dtype}, not float32`);
  const [rows, columns] = tensor.dims;
  const { data } = tensor;
  const turned = new Float32Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) turned[j * rows + i] = data[i * columns + j];
  return Tensor.float32([columns, rows], turned);
}

const refusal = (reason: string): Error =>
  unsupported('prune.foreign', `Neurons cannot be removed from this graph: ${reason}.`);
