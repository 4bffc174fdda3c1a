/** @file Foreign graphs that are one of our architectures: built anew from their weights, and compared. */
import type { Component, Task } from '../bundle/manifest';
import { unsupported } from '../errors';
import type { ModelpressError } from '../errors';
import { Tensor } from '../graph';
import type { Graph, Model, Value } from '../graph';
import { constantOf } from '../ops/constant-value';
import { ortRuntime } from '../runtime/ort';
import type { HostTensor } from '../runtime/runtime';
import { Random } from '../train/random';
import { headFor, maxLengthOf } from './config';
import type { Activation, Head, TransformerArchitecture, TransformerConfig } from './config';
import { opsBetween, structureFrom } from './detect';
import type { Anatomy, FfnBlock, Linear } from './detect';
import { toFloat32 } from './half';
import { isUnitLength } from './heads';
import { transpose } from './huggingface-names';
import type { BuiltModel } from './network';
import { blueprint, zeros } from './parameters';
import { buildTransformer } from './transformer';
import type { WeightSource } from './weights';

/** Allowed difference of the outputs, relative to the largest of them (but at least to 1). */
const TOLERANCE = 1e-4;

const TEST_ROWS = 3;
const TEST_LENGTH = 11;

export interface AdoptOptions {
  readonly task: Task;
  readonly labels: number;
  readonly padId: number | undefined;
  /** Name of the output to compare. */
  readonly output: string;
}

export interface Adopted {
  readonly config: TransformerConfig;
  readonly built: BuiltModel;
  /** Largest difference of the outputs on a test batch. */
  readonly difference: number;
}

/**
 * Builds a foreign model with our builder from its own weights, so that everything that works on built models works on
 * it (structured pruning, layer selection, export to Hugging Face). Its outputs are compared on a test batch.
 * @param model with named dimensions and every weight an initializer; not changed
 * @throws `import.unlike` with the reason, if the graph is none of our architectures or the outputs differ
 */
export async function adopt(model: Model, anatomy: Anatomy, options: AdoptOptions): Promise<Adopted> {
  const { task, labels, padId, output } = options;
  const config = configOf(model.graph, anatomy, padId);
  const head = headFor(task, labels, isUnitLength(model.graph.value(output)));
  const built = buildTransformer(config, head, weightsFrom(anatomy, config, head));
  const unequal = await difference(model, output, built, config);
  if (unequal <= TOLERANCE) return { config, built, difference: unequal };
  throw unlike(`built as ${config.architecture}, its outputs differ by ${unequal.toExponential(1)}`);
}

function configOf(graph: Graph, anatomy: Anatomy, padId: number | undefined): TransformerConfig {
  const { embeddings, norms, layers } = anatomy;
  const structure = structureFrom(anatomy);
  const ffn = layers.find((layer) => layer.ffn)?.ffn;
  const activation = ffn && activationOf(ffn);
  const headSize = structure.layers.flatMap(({ queryDims }) => queryDims).find((dim) => dim > 0);
  if (!activation || headSize === undefined || norms.length === 0)
    throw unlike('its activation or heads are not known');
  const architecture = architectureOf(graph, anatomy);
  return {
    architecture,
    hidden: structure.hidden,
    vocabulary: structure.vocabulary,
    positions: structure.positions,
    typeVocabulary: rowsOf(embeddings.tokenTypes),
    activation,
    layerNormEpsilon: Number(norms[0].epsilon.toPrecision(6)), // stored as float32
    padId: padId ?? (architecture === 'roberta' ? 1 : 0),
    initializerRange: 0.02,
    headSize,
    layers: structure.layers,
  };
}

const rowsOf = (table: Value | undefined): number => constantOf(table)?.dims[0] ?? 0;

/** The likeliest family; whether it is right, the comparison shows. */
function architectureOf(graph: Graph, { embeddings, norms }: Anatomy): TransformerArchitecture {
  if (!norms.some(({ output }) => output === embeddings.output)) return 'gpt2';
  if (graph.nodes.some((node) => node.opType === 'CumSum')) return 'roberta';
  return embeddings.tokenTypes ? 'bert' : 'distilbert';
}

function activationOf({ intermediate, output }: FfnBlock): Activation | undefined {
  const ops = opsBetween(intermediate.output, output.input);
  if (ops.has('Gelu')) {
    const gelu = intermediate.output.consumers.find((node) => node.opType === 'Gelu');
    return gelu?.attribute('approximate', 'string', 'none') === 'tanh' ? 'gelu-tanh' : 'gelu';
  }
  if (ops.has('Erf')) return 'gelu';
  if (ops.has('Tanh')) return ops.has('Mul') ? 'gelu-tanh' : 'tanh';
  if (ops.has('Sigmoid')) return ops.has('Mul') ? 'silu' : undefined;
  return ops.has('Relu') ? 'relu' : undefined;
}

/** Gives our parameter names the foreign tensors: linears and tables by component, normalisations by order. */
function weightsFrom(anatomy: Anatomy, config: TransformerConfig, head: Head): WeightSource {
  const { specs, components } = blueprint(config, head);
  const { tokens, positions, tokenTypes } = anatomy.embeddings;
  const tables = [tokens, positions, tokenTypes];
  const linears = linearsByRole(anatomy);
  const tensors = new Map<string, Tensor>();
  const give = (name: string | undefined, value: Value | undefined): void => {
    const constant = constantOf(value);
    if (name !== undefined && constant) tensors.set(name, toFloat32(constant));
  };
  for (const { component, layer, weight, bias } of components) {
    if (component === 'embeddings') give(weight, tables.shift());
    const linear = linears.get(roleOf(component, layer));
    give(weight, linear?.weight);
    give(bias, linear?.bias);
    if (linear?.transposed) tensors.set(weight, transpose(toFloat32(constantOf(linear.weight)!)));
  }
  const norms = specs.filter((spec) => spec.role === 'scale');
  if (norms.length !== anatomy.norms.length) {
    throw unlike(`it has ${anatomy.norms.length} layer normalisations instead of ${norms.length}`);
  }
  norms.forEach(({ name }, i) => {
    give(name, anatomy.norms[i].scale);
    give(name.replace(/weight$/, 'bias'), anatomy.norms[i].bias);
  });
  return (name, dims, role) => {
    const tensor = tensors.get(name) ?? (role === 'bias' ? zeros(dims) : undefined);
    if (tensor) return tensor;
    throw unlike(`it has nothing for "${name}"`);
  };
}

const roleOf = (component: Component, layer: number | undefined): string => `${component} ${layer ?? ''}`;

function linearsByRole({ layers, pooler, classifier }: Anatomy): ReadonlyMap<string, Linear | undefined> {
  return new Map([
    ...layers.flatMap(({ attention, ffn }, layer) => [
      [roleOf('W_Q', layer), attention?.query] as const,
      [roleOf('W_K', layer), attention?.key] as const,
      [roleOf('W_V', layer), attention?.value] as const,
      [roleOf('W_AO', layer), attention?.output] as const,
      [roleOf('W_I', layer), ffn?.intermediate] as const,
      [roleOf('W_O', layer), ffn?.output] as const,
    ]),
    [roleOf('W_P', undefined), pooler],
    [roleOf('classifier', undefined), classifier],
  ]);
}

/** Largest difference of the two models' outputs at tokens, relative to their size. */
async function difference(
  foreign: Model,
  output: string,
  built: BuiltModel,
  config: TransformerConfig,
): Promise<number> {
  const inputs = testBatch(config);
  const wanted = await outputOf(foreign, output, inputs);
  const actual = await outputOf(built.model, built.output, inputs);
  if (wanted.dims.join() !== actual.dims.join()) {
    throw unlike(`its output is [${wanted.dims.join(',')}] instead of [${actual.dims.join(',')}]`);
  }
  const [a, b] = [actual.data as Float32Array, wanted.data as Float32Array];
  const mask = inputs.attention_mask.toNumbers();
  // Language models have an output for each position; those of padding are not defined.
  const width = wanted.dims.length === 3 ? wanted.dims[2] : b.length;
  let largest = 1;
  let worst = 0;
  for (let i = 0; i < b.length; i++) {
    if (wanted.dims.length === 3 && mask[Math.floor(i / width)] === 0) continue;
    largest = Math.max(largest, Math.abs(b[i]));
    worst = Math.max(worst, Math.abs(a[i] - b[i]));
  }
  return worst / largest;
}

async function outputOf(model: Model, output: string, inputs: Readonly<Record<string, Tensor>>): Promise<HostTensor> {
  const session = await ortRuntime.compile(model, { threads: 1 });
  try {
    const feeds = Object.fromEntries(model.graph.inputs.map(({ name }) => [name, inputs[name]]));
    return (await session.run(feeds))[output];
  } finally {
    await session.release();
  }
}

/** Random texts of unequal length, padded on the right. */
function testBatch({
  vocabulary,
  padId = 0,
  ...config
}: TransformerConfig): Record<'input_ids' | 'attention_mask' | 'token_type_ids', Tensor> {
  const length = Math.min(TEST_LENGTH, maxLengthOf({ vocabulary, padId, ...config }));
  const random = new Random(7);
  const dims = [TEST_ROWS, length];
  const cells = Array.from({ length: TEST_ROWS * length }, (_, i) => ({
    row: Math.floor(i / length),
    column: i % length,
  }));
  const isToken = ({ row, column }: { row: number; column: number }): boolean =>
    column < length - 3 * row || column === 0;
  const id = (): number => {
    const drawn = random.integer(vocabulary);
    return drawn === padId ? (padId + 1) % vocabulary : drawn;
  };
  return {
    input_ids: Tensor.int64(
      dims,
      cells.map((cell) => (isToken(cell) ? id() : padId)),
    ),
    attention_mask: Tensor.int64(
      dims,
      cells.map((cell) => Number(isToken(cell))),
    ),
    token_type_ids: Tensor.int64(
      dims,
      cells.map(({ column }) => Number(config.typeVocabulary > 1 && column > 4)),
    ),
  };
}

const unlike = (reason: string): ModelpressError => unsupported('import.unlike', reason);
