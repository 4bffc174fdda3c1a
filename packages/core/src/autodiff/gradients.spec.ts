import { OPS } from '../ops';
import type { OpName } from '../ops';
import { ortRuntime } from '../runtime';
import { tfjsRuntime } from '../runtime/tfjs';
import { GRADIENT_CASES } from './gradient-cases';
import { checkGradients, relativeError, runGradients } from './gradient-check';

/** Ops whose gradient is a choice and not the derivative. */
const STRAIGHT_THROUGH: readonly OpName[] = ['Round'];

/** Cases whose gradient graph TensorFlow.js has no ops for: positions of maxima, dilated transposes, automatic padding. */
const MISSING_IN_TFJS: Partial<Record<OpName, readonly number[]>> = { Conv: [2, 3], MaxPool: [0, 1] };
const isMissing = ({ op, i }: { op: string; i: number }): boolean =>
  MISSING_IN_TFJS[op as OpName]?.includes(i) ?? false;

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

  it.each(cases.filter((entry) => !isMissing(entry)))('$op, case $i, is equal on TensorFlow.js', async ({ test }) => {
    const [ort, tfjs] = [await runGradients(ortRuntime, test), await runGradients(tfjsRuntime, test)];
    ort.forEach((gradient, i) => expect(relativeError(gradient, tfjs[i])).toBeLessThan(1e-5));
  });

  it.each(cases.filter(isMissing))('$op, case $i, is refused by TensorFlow.js', async ({ test }) => {
    await expect(runGradients(tfjsRuntime, test)).rejects.toMatchObject({ code: 'runtime.unsupported-op' });
  });
});
