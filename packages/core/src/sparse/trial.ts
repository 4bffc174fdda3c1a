/** @file Times one product in every form that it can take, on this machine. */
import { median } from '../bench/statistics';
import { takeTurns } from '../bench/take-turns';
import { Graph, Model, Node, ONNX_DOMAIN, Tensor, Value } from '../graph';
import { findSites, quantizeDynamicInt8 } from '../quantize';
import type { LinearSite } from '../quantize';
import { nativeRuntime } from '../runtime';
import type { Executable } from '../runtime';
import { Random } from '../train/random';
import type { DenseWeight, SparsePattern } from './pack';
import { rewriteSparse } from './rewrite';

/** How a product can be computed: by ONNX Runtime, or sparse in one of the patterns. */
export type ProductForm = 'fp32' | 'int8' | SparsePattern;

export interface TrialOptions {
  /** Rows of x: batch times tokens. */
  readonly rows: number;
  readonly threads: number;
  readonly seconds: number;
  readonly signal?: AbortSignal | undefined;
}

/** Median milliseconds by form, all timed in turns in the native runtime. */
export async function timeForms(
  weight: DenseWeight,
  patterns: readonly SparsePattern[],
  { rows, threads, seconds, signal }: TrialOptions,
): Promise<ReadonlyMap<ProductForm, number>> {
  const forms: readonly ProductForm[] = ['fp32', 'int8', ...patterns];
  const executables: Executable[] = [];
  try {
    for (const form of forms) {
      executables.push(await nativeRuntime.compile(trialModel(weight, rows, form), { threads }));
    }
    const x = { dtype: 'float32' as const, dims: [rows, weight.inputs], data: noise(rows * weight.inputs) };
    const into = {
      y: { dtype: 'float32' as const, dims: [rows, weight.outputs], data: new Float32Array(rows * weight.outputs) },
    };
    const works = executables.map((executable) => () => executable.run({ x }, into));
    const samples = await takeTurns(works, { warmup: 2, minRounds: 5, maxRounds: 200, seconds, signal });
    return new Map(forms.map((form, i) => [form, median(samples[i])]));
  } finally {
    for (const executable of executables) await executable.release();
  }
}

/** y = x W */
function trialModel({ inputs, outputs, data }: DenseWeight, rows: number, form: ProductForm): Model {
  const graph = new Graph();
  const x = graph.addInput('x', 'float32', [rows, inputs]);
  const y = new Value('y', { dtype: 'float32', shape: [rows, outputs] });
  const w = graph.addInitializer('w', Tensor.float32([inputs, outputs], data));
  graph.addNode(new Node('MatMul', ONNX_DOMAIN, 'product', [x, w], [y]));
  graph.addOutput(y);
  const model = new Model(graph);
  if (form === 'int8') quantizeDynamicInt8(model, { form: 'matmul-integer', minElements: 0 });
  else if (form !== 'fp32') {
    rewriteSparse(model, findSites(graph).sites[0] as LinearSite, { inputs, outputs, data }, form);
  }
  return model;
}

function noise(count: number): Float32Array {
  const random = new Random(1);
  return Float32Array.from({ length: count }, () => random.uniform() - 0.5);
}
