/** @file Runs a float model over calibration rows and hands over what happens inside. */
import { throwIfAborted } from '../errors';
import { clone, int, Node, ONNX_DOMAIN, Tensor, Value } from '../graph';
import type { Model } from '../graph';
import { ortRuntime } from '../runtime';
import type { HostTensor } from '../runtime';

/** Texts of a calibration set, one row at a time and without padding, which would count as data. */
export interface CalibrationRows {
  readonly count: number;
  /** Hash of all rows' inputs. */
  readonly digest: string;
  inputs(row: number): Readonly<Record<string, HostTensor>>;
}

export interface ObserveOptions {
  readonly threads?: number;
  readonly signal?: AbortSignal | undefined;
  /** Hears the share of the work that is done. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
}

/** Hands every row's value of each name to `visit`. Memory does not depend on the number of rows. */
export async function observeValues(
  model: Model,
  names: readonly string[],
  rows: CalibrationRows,
  options: ObserveOptions,
  visit: (name: string, values: Float32Array) => void,
): Promise<void> {
  const probe = clone(model);
  const extra = names.filter((name) => !probe.graph.outputs.some((output) => output.name === name));
  for (const name of extra) {
    const value = probe.graph.value(name);
    value.dtype = 'float32';
    if (!probe.graph.inputs.includes(value)) probe.graph.addOutput(value);
  }
  await observe(probe, rows, options, (results, feeds) => {
    for (const name of names) visit(name, (results[name] ?? feeds[name]).data as Float32Array);
  });
}

/** X^T X of each named value [..., width], summed over all rows; width by name. */
export async function observeProducts(
  model: Model,
  widths: ReadonlyMap<string, number>,
  rows: CalibrationRows,
  options: ObserveOptions,
): Promise<Map<string, Float32Array>> {
  const probe = clone(model);
  const { graph } = probe;
  const add = (op: string, inputs: readonly Value[], attributes: Record<string, number> = {}): Value => {
    const value = new Value(graph.uniqueName(op), { dtype: 'float32' });
    const entries = Object.entries(attributes).map(([name, x]) => [name, int(x)] as const);
    graph.addNode(new Node(op, ONNX_DOMAIN, value.name, inputs, [value], new Map(entries)));
    return value;
  };
  const products = new Map<string, string>();
  for (const [name, width] of widths) {
    const dims = graph.addInitializer(graph.uniqueName('dims'), Tensor.int64([2], [-1, width]));
    const flat = add('Reshape', [graph.value(name), dims]);
    const product = add('Gemm', [flat, flat], { transA: 1 });
    graph.addOutput(product);
    products.set(name, product.name);
  }
  const sums = new Map([...widths].map(([name, width]) => [name, new Float32Array(width * width)]));
  await observe(probe, rows, options, (results) => {
    for (const [name, product] of products) {
      const sum = sums.get(name)!;
      const values = results[product].data as Float32Array;
      for (let i = 0; i < sum.length; i++) sum[i] += values[i];
    }
  });
  return sums;
}

async function observe(
  probe: Model,
  rows: CalibrationRows,
  { threads, signal, onProgress }: ObserveOptions,
  visit: (results: Record<string, HostTensor>, feeds: Readonly<Record<string, HostTensor>>) => void,
): Promise<void> {
  const executable = await ortRuntime.compile(probe, threads === undefined ? {} : { threads });
  try {
    for (let row = 0; row < rows.count; row++) {
      throwIfAborted(signal);
      const feeds = rows.inputs(row);
      visit(await executable.run(feeds), feeds);
      onProgress?.((row + 1) / rows.count);
      // The engine blocks this thread: give cancellation a turn.
      await new Promise(setImmediate);
    }
  } finally {
    await executable.release();
  }
}
