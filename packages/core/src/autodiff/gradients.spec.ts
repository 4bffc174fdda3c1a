import { Graph, Model } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { OPS } from '../ops';
import type { OpName } from '../ops';
import { ortRuntime } from '../runtime';
import type { HostTensor } from '../runtime';
import { tfjsRuntime } from '../runtime/tfjs';
import { differentiate } from './differentiate';
import { GRADIENT_CASES } from './gradient-cases';
import { checkGradients, relativeError, runGradients } from './gradient-check';

/** Ops whose gradient is a choice and not the derivative. */
const STRAIGHT_THROUGH: readonly OpName[] = ['Round'];

describe('gradient rules', () => {
  it('has a case for every op with a rule, and for no other', () => {
    const withRule = Object.entries(OPS).flatMap(([name, rule]) => (typeof rule.grad === 'function' ? [name] : []));
    expect([...Object.keys(GRADIENT_CASES), ...STRAIGHT_THROUGH].sort()).toEqual(withRule.sort());
  });

  const cases = Object.entries(GRADIENT_CASES).flatMap(([op, list]) => list.map((test, i) => ({ op, i, test })));

  it.each(cases)('$op, case $i, equals central differences', async ({ test }) => {
    const { errors, gradients } = await checkGradients(ortRuntime, test);
    for (const error of errors) expect(error).toBeLessThan(1e-3);
    expect(gradients.flat().some((value) => value !== 0)).toBe(true);
  });

  it.each(cases)('$op, case $i, is equal on TensorFlow.js', async ({ test }) => {
    const [ort, tfjs] = [await runGradients(ortRuntime, test), await runGradients(tfjsRuntime, test)];
    ort.forEach((gradient, i) => expect(relativeError(gradient, tfjs[i])).toBeLessThan(1e-5));
  });
});

describe('the gradient of a lookup', () => {
  // ONNX Runtime's ScatterND loses additions to repeated rows when it runs on several threads.
  it.each([2, 200, 2000])('adds repeated rows of a table of %d exactly, in every run', async (length) => {
    const [count, width] = [2048, 64];
    const build = new GraphBuilder(new Model(new Graph()));
    const table = build.input('table', 'float32', [length, width]);
    const ids = build.input('ids', 'int64', [count]);
    const weights = build.input('weights', 'float32', [count, width]);
    const product = build.op('Mul', [build.op('Gather', [table, ids]), weights]);
    const loss = build.op('ReduceSum', [product], { keepdims: 0 });
    build.output(differentiate(build, loss, [table]).get(table)!, 'gradient');

    const rows = Array.from({ length: count }, (_, r) => (r * r) % Math.min(length, 5));
    const data = Float32Array.from({ length: count * width }, (_, i) => i % 7);
    const expected = new Float32Array(length * width);
    data.forEach((value, i) => (expected[rows[Math.floor(i / width)] * width + (i % width)] += value));
    const feeds: Record<string, HostTensor> = {
      table: { dtype: 'float32', dims: [length, width], data: new Float32Array(length * width) },
      ids: { dtype: 'int64', dims: [count], data: BigInt64Array.from(rows, BigInt) },
      weights: { dtype: 'float32', dims: [count, width], data },
    };
    const executable = await ortRuntime.compile(build.model, { threads: 4 });
    for (let run = 0; run < 10; run++) {
      const { gradient } = await executable.run(feeds);
      expect(gradient.data).toEqual(expected);
    }
    await executable.release();
  });
});
