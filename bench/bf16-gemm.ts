/**
 * @file Rate of the bfloat16 matrix product beside ONNX Runtime's float32 one, in the three forms that training needs.
 *
 *   node --require ./tools/register-typescript.cjs bench/bf16-gemm.ts [--threads 2] [--rounds 30]
 *
 * All in one process, in turns of some runs each: threads of a session spin on for a while after its run and would stand
 * in the way of another session's next one, which nothing does in training. The fastest of all runs, and in brackets the
 * ratio to fp32.
 */
import { parseArgs } from 'node:util';
import { Graph, Model } from '../packages/core/src/graph';
import { GraphBuilder } from '../packages/core/src/graph/builder';
import { machineCapabilities, nativeRuntime } from '../packages/core/src/runtime';
import type { Executable, HostTensor, Precision } from '../packages/core/src/runtime';

/** [m, k, n]: rows of the batch, inputs and outputs. */
const SIZES = [
  [1024, 768, 3072],
  [2048, 512, 2048],
  [1024, 128, 512],
] as const;

/** op(A) op(B): forward, gradient of the input, gradient of the weights. */
const FORMS = { NN: {}, NT: { transB: 1 }, TN: { transA: 1 } } as const;

type Form = keyof typeof FORMS;

const tensor = (rows: number, columns: number): HostTensor => ({
  dtype: 'float32',
  dims: [rows, columns],
  data: Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i)),
});

interface Product {
  run(): Promise<void>;
  readonly executable: Executable;
}

async function productOf(
  [m, k, n]: (typeof SIZES)[number],
  form: Form,
  precision: Precision,
  threads: number,
): Promise<Product> {
  const build = new GraphBuilder(new Model(new Graph()));
  const a = form === 'TN' ? [k, m] : [m, k];
  const b = form === 'NT' ? [n, k] : [k, n];
  build.output(build.op('Gemm', [build.input('a', 'float32', a), build.input('b', 'float32', b)], FORMS[form]), 'y');
  const executable = await nativeRuntime.compile(build.model, { threads, precision, spin: true });
  const feeds = { a: tensor(a[0], a[1]), b: tensor(b[0], b[1]) };
  const into = { y: tensor(m, n) };
  return { executable, run: async () => void (await executable.run(feeds, into)) };
}

/** Runs of one product in a row. */
const RUNS_OF_A_TURN = 5;

/** Best GFLOP/s of each product, the rounds taken in turns. */
async function bestRates(products: readonly Product[], flops: number, rounds: number): Promise<number[]> {
  const best = products.map(() => Infinity);
  for (let round = 0; round < rounds; round++) {
    for (const [i, product] of products.entries()) {
      for (let run = 0; run < RUNS_OF_A_TURN; run++) {
        const start = performance.now();
        await product.run();
        best[i] = Math.min(best[i], performance.now() - start);
      }
    }
  }
  return best.map((ms) => flops / ms / 1e6);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { threads: { type: 'string', default: '2' }, rounds: { type: 'string', default: '30' } },
  });
  const threads = Number(values.threads);
  const { cpu, cores } = machineCapabilities();
  console.log(`${cpu}, ${cores} cores, ${threads} threads, GFLOP/s\n`);
  console.log('| m x k x n | form | fp32 | bf16 |\n|---|---|---|---|');
  for (const size of SIZES) {
    const [m, k, n] = size;
    for (const form of Object.keys(FORMS) as Form[]) {
      const products = [await productOf(size, form, 'fp32', threads), await productOf(size, form, 'bf16', threads)];
      const [fp32, bf16] = await bestRates(products, 2 * m * k * n, Number(values.rounds));
      console.log(
        `| ${m}x${k}x${n} | ${form} | ${fp32.toFixed(0)} | ${bf16.toFixed(0)} (${(bf16 / fp32).toFixed(2)}x) |`,
      );
      for (const { executable } of products) await executable.release();
    }
  }
}

void main();
