import fc from 'fast-check';
import { Graph, Model, Tensor, verify } from '../graph';
import type { Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { simplify } from './specialise';
import { feedsOf, largestDifference, run } from './testing';

/** Steps that turn two [2,3] values into another one; many of them are what the passes look for. */
const STEPS: readonly ((build: GraphBuilder, a: Value, b: Value) => Value)[] = [
  (build, a, b) => build.op('Add', [a, b]),
  (build, a, b) => build.op('Sub', [a, b]),
  (build, a, b) => build.op('Max', [a, b]),
  (build, a) => build.op('Mul', [a, build.scalar(0.5)]),
  (build, a) => build.op('Tanh', [a]),
  (build, a) => build.op('Identity', [a]),
  (build, a) => build.op('Cast', [a], { to: 1 }),
  (build, a) => build.op('Dropout', [a]),
  (build, a) => build.op('Transpose', [build.op('Transpose', [a], { perm: [1, 0] })], { perm: [1, 0] }),
  (build, a, b) => build.op('Reshape', [a, build.op('Shape', [b])]),
  (build, a, b) => build.op('Expand', [build.op('ReduceMean', [a, build.int64s([-1])]), build.op('Shape', [b])]),
  (build, a) => build.op('Add', [a, build.op('ConstantOfShape', [build.op('Shape', [a])])]),
  (build, a) => build.op('Add', [a, build.parameter(build.graph.uniqueName('w'), Tensor.float32([3], [1, 2, 3]))]),
  (build, a) => {
    const centred = build.op('Sub', [a, build.op('ReduceMean', [a, build.int64s([-1])])]);
    const variance = build.op('ReduceMean', [build.op('Mul', [centred, centred]), build.int64s([-1])]);
    const normal = build.op('Div', [centred, build.op('Sqrt', [build.op('Add', [variance, build.scalar(0.1)])])]);
    const vector = (name: string): Value =>
      build.parameter(build.graph.uniqueName(name), Tensor.float32([3], [0.5, -1, 2]));
    return build.op('Add', [build.op('Mul', [normal, vector('scale')]), vector('bias')]);
  },
  (build, a) => {
    const erf = build.op('Erf', [build.op('Div', [a, build.scalar(Math.SQRT2)])]);
    const product = build.op('Mul', [a, build.op('Add', [erf, build.scalar(1)])]);
    return build.op('Mul', [product, build.scalar(0.5)]);
  },
];

const models = fc
  .array(fc.record({ step: fc.nat(STEPS.length - 1), a: fc.nat(), b: fc.nat() }), { minLength: 1, maxLength: 12 })
  .map((plan) => {
    const build = new GraphBuilder(new Model(new Graph()));
    const values = ['x', 'z'].map((name) => build.input(name, 'float32', [2, 3]));
    // later values are picked more often, so that steps build on each other
    const pick = (at: number): Value => values[values.length - 1 - Math.min(at % 3, values.length - 1)];
    for (const { step, a, b } of plan) values.push(STEPS[step](build, pick(a), pick(b)));
    for (const value of new Set([values[values.length - 1], values[values.length - 2]])) {
      if (value.producer) build.graph.addOutput(value);
    }
    return build.model;
  });

describe('simplify', () => {
  it('keeps what any graph computes, under the same names, and settles', async () => {
    await fc.assert(
      fc.asyncProperty(models, async (model) => {
        const feeds = feedsOf(model);
        const before = await run(model, feeds);
        simplify(model);
        verify(model);
        const after = await run(model, feeds);
        expect(Object.keys(after)).toEqual(Object.keys(before));
        for (const name of Object.keys(before)) {
          expect(largestDifference(before[name], after[name])).toBeLessThan(1e-4);
        }
        expect(simplify(model)).toEqual({ modified: false });
      }),
      { numRuns: 100 },
    );
  });
});
