/** @file Whether two thin products are faster than one, on this machine. */
import { median } from '../bench/statistics';
import { takeTurns } from '../bench/take-turns';
import { Graph, Model, Node, ONNX_DOMAIN, Tensor, Value } from '../graph';
import { ortRuntime } from '../runtime';
import { Random } from '../train/random';

/** Tokens of a trial: one text of usual length. */
const TOKENS = 32;

export interface ProductShape {
  readonly rows: number;
  readonly columns: number;
  readonly rank: number;
}

/** Median milliseconds of x W and of (x A) B for 32 tokens, taken in turns for about a tenth of a second. */
export async function timeProducts(
  { rows, columns, rank }: ProductShape,
  threads: number,
  signal: AbortSignal,
): Promise<{ readonly whole: number; readonly thin: number }> {
  const models = [chain([rows, columns]), chain([rows, rank, columns])];
  const executables = await Promise.all(models.map((model) => ortRuntime.compile(model, { threads })));
  const feeds = { x: noise([TOKENS, rows]) };
  const works = executables.map((executable) => () => executable.run(feeds));
  const samples = await takeTurns(works, { warmup: 3, minRounds: 10, maxRounds: 200, seconds: 0.1, signal });
  for (const executable of executables) await executable.release();
  const [whole, thin] = samples.map(median);
  return { whole, thin };
}

/** x W_1 W_2 ... with W_i [widths[i - 1], widths[i]] */
function chain(widths: readonly number[]): Model {
  const graph = new Graph();
  let value = graph.addInput('x', 'float32', [TOKENS, widths[0]]);
  for (let i = 1; i < widths.length; i++) {
    const weight = graph.addInitializer(`w${i}`, noise([widths[i - 1], widths[i]]));
    const output = new Value(`y${i}`, { dtype: 'float32', shape: [TOKENS, widths[i]] });
    graph.addNode(new Node('MatMul', ONNX_DOMAIN, output.name, [value, weight], [output]));
    value = output;
  }
  graph.addOutput(value);
  return new Model(graph);
}

function noise(dims: readonly [number, number]): Tensor<'float32'> {
  const random = new Random(0);
  return Tensor.float32(
    dims,
    Float32Array.from({ length: dims[0] * dims[1] }, () => random.uniform() - 0.5),
  );
}
