import { OPS } from '../ops';
import type { OpName } from '../ops';
import { ortRuntime } from '../runtime';
import { tfjsRuntime } from '../runtime/tfjs';
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
