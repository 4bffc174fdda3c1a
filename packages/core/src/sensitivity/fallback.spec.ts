import * as fc from 'fast-check';
import { searchFallback } from './fallback';
import type { Outcome, Trial } from './fallback';
import type { WeightGroup } from './groups';

/** Four layers of two weights each; compressing weight w costs `costs[w]` of the figure and saves 3 of its 4 bytes. */
const LAYERS = [0, 1, 2, 3];
const blocks: WeightGroup[] = LAYERS.map((layer) => ({
  name: `layer ${layer}`,
  layer,
  weights: [`${layer}.a`, `${layer}.b`],
}));
const components: WeightGroup[] = ['a', 'b', 'table'].map((component) => ({
  name: component,
  component,
  weights: component === 'table' ? ['table'] : LAYERS.map((layer) => `${layer}.${component}`),
}));
const ALL = [...blocks.flatMap(({ weights }) => weights), 'table'];

interface Run {
  readonly costs?: Readonly<Record<string, number>>;
  readonly limit: number;
  readonly maxTrials?: number;
  readonly ranking?: readonly string[];
  readonly figureOf?: (lost: number, reverted: readonly string[]) => number;
}

async function search({ costs = {}, limit, maxTrials = 100, ranking, figureOf = (lost) => 1 - lost }: Run) {
  const evaluate = async (reverted: readonly string[]): Promise<Outcome> => {
    const lost = ALL.filter((weight) => !reverted.includes(weight)).reduce(
      (sum, weight) => sum + (costs[weight] ?? 0),
      0,
    );
    const figure = figureOf(lost, reverted);
    return { figure, drop: 1 - figure, divergence: lost, bytes: ALL.length + 3 * reverted.length };
  };
  const isSpent = (trials: number): boolean => trials >= maxTrials;
  return searchFallback({ blocks, components, limit, evaluate, isSpent, ...(ranking ? { ranking } : {}) });
}

const steps = (trials: readonly Trial[]): string[] =>
  trials.map(({ step, reverted }) => `${step}: ${reverted.join('+')}`);

describe('searchFallback', () => {
  it('compresses everything where that holds', async () => {
    const { trials, best } = await search({ costs: { '0.a': 0.01 }, limit: 0.01 });
    expect(steps(trials)).toEqual(['everything: ']);
    expect(best.weights).toEqual([]);
  });

  it('leaves the worst block alone, then compresses again what of it does no harm', async () => {
    const { trials, best } = await search({ costs: { '2.a': 0.3, '1.b': 0.01 }, limit: 0.05 });
    expect(best).toMatchObject({ weights: ['2.a'], holds: true });
    expect(trials.filter(({ step }) => step === 'one alone')).toHaveLength(4);
    expect(trials.at(-1)?.step).toBe('given back');
  });

  it('adds block after block in order of sensitivity', async () => {
    const costs = { '0.a': 0.1, '1.a': 0.3, '3.a': 0.2, '2.b': 0.01 };
    const { trials, best, stopped } = await search({ costs, limit: 0.02 });
    expect(steps(trials.filter(({ step }) => step === 'worst added'))).toEqual([
      'worst added: layer 1+layer 3',
      'worst added: layer 1+layer 3+layer 0',
    ]);
    expect(best.weights).toEqual(['0.a', '1.a', '3.a']);
    expect(stopped).toBeUndefined();
  });

  it('goes on to components when no block helps enough', async () => {
    const { best } = await search({ costs: { table: 0.5, '0.a': 0.01 }, limit: 0.1 });
    expect(best).toMatchObject({
      weights: ['0.a', '0.b', 'table'].filter((w) => best.weights.includes(w)),
      holds: true,
    });
    expect(best.weights).toContain('table');
  });

  it('ranks anew when the next block does not help', async () => {
    // Layer 0 and layer 1 disturb each other: with one of them reverted, reverting the other makes it worse.
    const figureOf = (lost: number, reverted: readonly string[]): number =>
      1 - lost - (reverted.includes('0.a') && reverted.includes('1.a') ? 0.4 : 0);
    const costs = { '0.a': 0.3, '1.a': 0.2, '2.a': 0.1 };
    const { trials, best } = await search({ costs, limit: 0.25, figureOf });
    expect(steps(trials)).toContain('worst added: layer 0+layer 1');
    expect(best).toMatchObject({ holds: true, weights: ['0.a', '2.a'] });
  });

  it('takes a ranking that is known already without trying each', async () => {
    const ranking = ['layer 2 a', 'layer 2', 'layer 1', 'layer 0', 'layer 3'];
    const { trials } = await search({ costs: { '2.a': 0.3, '2.b': 0.3 }, limit: 0, ranking });
    expect(steps(trials)).toEqual([
      'everything: ',
      'worst added: layer 2',
      'given back: layer 2+except a',
      'given back: layer 2+except b',
    ]);
  });

  it('returns the least drop when trials are used up or nothing helps', async () => {
    const costs = { '0.a': 0.1, '1.a': 0.3, '3.b': 0.2 };
    const early = await search({ costs, limit: 0, maxTrials: 5 });
    expect(early.trials).toHaveLength(5);
    expect(early).toMatchObject({ stopped: 'trials or time used up', best: { reverted: ['layer 1'], holds: false } });
    const never = await search({ costs: {}, limit: 0, figureOf: () => 0.5 });
    expect(never).toMatchObject({ stopped: 'nothing left that helps', best: { holds: false, reverted: [] } });
  });

  it('always ends, within its trials, with the best of what it tried', async () => {
    const costsOf = fc.dictionary(fc.constantFrom(...ALL), fc.double({ min: -0.05, max: 0.3, noNaN: true }));
    await fc.assert(
      fc.asyncProperty(
        costsOf,
        fc.double({ min: 0, max: 0.5, noNaN: true }),
        fc.integer({ min: 1, max: 40 }),
        async (costs, limit, maxTrials) => {
          const { trials, best } = await search({ costs, limit, maxTrials });
          expect(trials.length).toBeLessThanOrEqual(maxTrials);
          const holding = trials.filter(({ holds }) => holds);
          const [figure, candidates] = best.holds
            ? [(trial: Trial) => trial.bytes, holding]
            : [(trial: Trial) => trial.drop, trials];
          expect(best.holds).toBe(holding.length > 0);
          expect(figure(best)).toBe(Math.min(...candidates.map(figure)));
        },
      ),
      { numRuns: 60 },
    );
  });
});
