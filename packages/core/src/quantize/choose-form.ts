/** @file Finds out which of the two int8 forms this machine runs faster. */
import { median } from '../bench/statistics';
import { takeTurns } from '../bench/take-turns';
import { Graph, Model, Node, ONNX_DOMAIN, Tensor, Value } from '../graph';
import { ortRuntime } from '../runtime';
import type { HostTensor } from '../runtime';
import { Random } from '../train/random';
import { quantizeDynamicInt8 } from './dynamic';
import { EMISSION_FORMS } from './emit';
import type { EmissionForm } from './emit';
import { findSites } from './sites';

export interface FormChoice {
  readonly form: EmissionForm;
  /** Median milliseconds of the trial in each form; absent when the model has no product to try. */
  readonly milliseconds?: Readonly<Record<EmissionForm, number>>;
}

/** Tokens of the trial: one text of usual length, where the forms differ most. */
const TOKENS = 32;

/**
 * Times both forms on three products of one input, as attention has them, with the model's commonest weight shape.
 * Takes about half a second.
 */
export async function chooseForm(model: Model, threads: number, signal?: AbortSignal): Promise<FormChoice> {
  const shape = commonestShape(model);
  if (!shape) return { form: 'matmul-integer' };
  const executables = await Promise.all(
    EMISSION_FORMS.map((form) => {
      const trial = trialModel(...shape);
      quantizeDynamicInt8(trial, { form, minElements: 0 });
      return ortRuntime.compile(trial, { threads });
    }),
  );
  const feeds = { x: noise([TOKENS, shape[0]], 0) };
  const works = executables.map((executable) => () => executable.run(feeds));
  const samples = await takeTurns(works, { warmup: 3, minRounds: 15, maxRounds: 300, seconds: 0.4, signal });
  for (const executable of executables) await executable.release();
  const medians = samples.map(median);
  const milliseconds = Object.fromEntries(EMISSION_FORMS.map((form, i) => [form, medians[i]])) as Record<
    EmissionForm,
    number
  >;
  return { form: EMISSION_FORMS[medians.indexOf(Math.min(...medians))], milliseconds };
}

/** [in, out] of the weight shape that the model has most elements in. */
function commonestShape(model: Model): [number, number] | undefined {
  const elements = new Map<string, { shape: [number, number]; elements: number }>();
  for (const site of findSites(model.graph).sites) {
    if (site.kind === 'table') continue;
    const [rows, columns] = site.weight.constant!.dims;
    const shape: [number, number] = site.transposed ? [columns, rows] : [rows, columns];
    const known = elements.get(String(shape)) ?? { shape, elements: 0 };
    elements.set(String(shape), { shape, elements: known.elements + rows * columns });
  }
  return [...elements.values()].sort((a, b) => b.elements - a.elements)[0]?.shape;
}

/** y = x A + x B + x C */
function trialModel(inputs: number, outputs: number): Model {
  const graph = new Graph();
  const x = graph.addInput('x', 'float32', [TOKENS, inputs]);
  const node = (op: string, operands: Value[]): Value => {
    const output = new Value(graph.uniqueName(op), { dtype: 'float32', shape: [TOKENS, outputs] });
    graph.addNode(new Node(op, ONNX_DOMAIN, output.name, operands, [output]));
    return output;
  };
  const weight = noise([inputs, outputs], 1);
  const products = ['a', 'b', 'c'].map((name) => node('MatMul', [x, graph.addInitializer(name, weight)]));
  graph.addOutput(node('Sum', products));
  return new Model(graph);
}

function noise(dims: readonly [number, number], seed: number): HostTensor & Tensor<'float32'> {
  const random = new Random(seed);
  return Tensor.float32(
    dims,
    Float32Array.from({ length: dims[0] * dims[1] }, () => random.uniform() - 0.5),
  );
}
