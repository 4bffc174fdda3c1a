import { datasetFolder, tinyBundle, tinyExamples } from '../stages/testing';
import { ortRuntime } from '../runtime';
import { measureRobustness } from './robustness';

const options = { perturbations: ['typos', 'lower-case'] as const, rate: 0.5, seeds: 3, rows: 25, seed: 5 };

describe('measureRobustness', () => {
  let bundle: string;
  let data: string;
  beforeAll(async () => {
    bundle = await tinyBundle();
    data = datasetFolder({ test: tinyExamples(40) });
  });

  it('asks once for each seed, once where chance has no part, on the same rows', async () => {
    const heard: number[] = [];
    const found = await measureRobustness(bundle, data, 'test', options, {
      runtime: ortRuntime,
      onProgress: (fraction) => void heard.push(fraction),
    });
    expect(found.rows).toBe(25);
    expect(found.perturbed.map(({ perturbation, accuracies }) => [perturbation, accuracies.length])).toEqual([
      ['typos', 3],
      ['lower-case', 1],
    ]);
    // The texts are in lower case already.
    expect(found.perturbed[1]?.accuracy).toBe(found.clean);
    const [typos, lower] = found.perturbed.map(({ accuracy }) => accuracy);
    expect(found.retained).toBeCloseTo((typos + lower) / 2 / found.clean);
    expect(heard).toEqual([1, 2, 3, 4, 5].map((done) => done / 5));
  });

  it('gives the same figures for the same seed, and stops when told', async () => {
    const ask = () => measureRobustness(bundle, data, 'test', options, { runtime: ortRuntime });
    expect(await ask()).toEqual(await ask());
    const signal = AbortSignal.abort();
    await expect(
      measureRobustness(bundle, data, 'test', options, { runtime: ortRuntime, signal }),
    ).rejects.toMatchObject({
      kind: 'cancelled',
    });
  });
});
