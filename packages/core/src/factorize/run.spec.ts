import { rmSync } from 'node:fs';
import { readBundle } from '../bundle';
import { predict } from '../evaluate';
import { figureOf, openWorkshop, QUICK } from '../finetune/testing';
import type { RunStage } from '../finetune/testing';
import { ortRuntime } from '../runtime';
import { STAGES } from '../stages';
import { readDatasetInfo } from '../text';
import { factorizeIssues } from './check';
import { factorizeSchema } from './config';
import { estimateFactorize } from './estimate';
import { timeProducts } from './timing';

let folder: string;
let dataset: string;
let trained: string;
let run: RunStage;

beforeAll(async () => {
  ({ folder, dataset, trained, run } = await openWorkshop());
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('factorize', () => {
  const quiet = { ...QUICK, minimumRank: 1, multipleOf: 1 };

  it('spends a budget, recovers with the original as teacher, and counts what it made', async () => {
    const {
      accuracy,
      folder: out,
      result,
    } = await run('factorize', 'recovered', {
      ...quiet,
      budget: { type: 'parameters', share: 0.3 },
      epochs: 3,
      distill: {},
    });
    expect(accuracy).toBeGreaterThan(0.95);
    const [before, after] = [(await readBundle(trained)).manifest, (await readBundle(out)).manifest];
    const chosen = 2 * (4 * 32 * 32 + 2 * 32 * 64);
    const saved = before.parameters.total - after.parameters.total;
    expect(saved).toBeGreaterThanOrEqual(0.7 * chosen);
    expect(saved).toBeLessThan(0.72 * chosen);
    expect(figureOf(result, 'parameters.total')).toBe(after.parameters.total);
    expect(after.components.filter(({ factor }) => factor === 'first').length).toBeGreaterThan(6);
    expect(after.provenance.at(-1)).toMatchObject({ step: 'factorize', detail: { method: 'activation-aware' } });
    expect(result.sections.map(({ title }) => title)).toEqual([
      'Size',
      'Rank kept, as a share of the full rank',
      'Matrices',
      'Score on the dev split in recovery',
      'Loss in recovery',
    ]);
  });

  it('leaves whole, and says so, what was pruned below the rank', async () => {
    const pruned = await run('prune', 'narrow', { ...QUICK, epochs: 0, target: 0, targets: { W_V: 0.75 } });
    const config = { ...quiet, method: 'svd', components: ['W_V', 'W_I'], budget: { type: 'rank', rank: 12 } };
    const { result, folder: out } = await run('factorize', 'narrower', config, pruned.folder);
    expect(result.warnings).toEqual([expect.stringMatching(/^Rank 12 is above the full rank of W_V/)]);
    const { components } = (await readBundle(out)).manifest;
    const factorized = components.filter(({ factor }) => factor === 'first').map(({ component }) => component);
    expect(factorized).toEqual(['W_I', 'W_I']);
  });

  it('stays nearer to the original by activations than by weights, without any training', async () => {
    const logitsOf = async (model: string): Promise<Float32Array> =>
      (await predict(model, dataset, 'test', { runtime: ortRuntime, compile: { threads: 1 } })).logits;
    const original = await logitsOf(trained);
    const distance = async (method: string): Promise<number> => {
      const budget = { type: 'rank', rank: 2 };
      const { folder: out } = await run('factorize', `plain-${method}`, { ...quiet, method, budget });
      return (await logitsOf(out)).reduce((sum, logit, i) => sum + (logit - original[i]) ** 2, 0);
    };
    expect(await distance('activation-aware')).toBeLessThan(0.5 * (await distance('svd')));
  });

  it('of every component, embeddings included, can be fine-tuned, pruned by weight and adapted', async () => {
    const components = ['W_Q', 'W_K', 'W_V', 'W_AO', 'W_I', 'W_O', 'W_P', 'embeddings'];
    const { folder: out } = await run('factorize', 'all', { ...quiet, components, budget: { type: 'rank', rank: 6 } });
    const tuned = await run('finetune', 'tuned', { ...QUICK, epochs: 2 }, out);
    expect(tuned.accuracy).toBeGreaterThan(0.95);
    const adapted = await run(
      'finetune',
      'adapted',
      { ...QUICK, epochs: 1, method: { type: 'adapters', size: 4 } },
      out,
    );
    expect(
      (await readBundle(adapted.folder)).model.graph.initializers.filter(({ name }) => name.endsWith('.down.weight')),
    ).toHaveLength(4);
    const lora = { type: 'lora', rank: 2, targets: ['W_Q', 'W_I'] };
    const merged = await run('finetune', 'lora', { ...QUICK, epochs: 1, method: lora }, out);
    expect((await readBundle(merged.folder)).manifest.parameters.total).toBe(
      (await readBundle(out)).manifest.parameters.total,
    );
    const pruned = await run(
      'prune',
      'pruned',
      {
        ...QUICK,
        granularity: { type: 'weight' },
        target: 0.3,
        scope: 'matrix',
        epochs: 0,
        pruningEpochs: 0,
      },
      tuned.folder,
    );
    const { manifest } = await readBundle(pruned.folder);
    expect(manifest.sparsity[manifest.components.find(({ component }) => component === 'W_I')!.weight]).toBeCloseTo(
      0.3,
      1,
    );
  });

  it('says at run time what its manifest could not tell before', async () => {
    const once = await run('factorize', 'once', {
      ...quiet,
      method: 'svd',
      components: ['W_I'],
      budget: { type: 'rank', rank: 4 },
    });
    const again = run('factorize', 'again', { ...quiet, method: 'svd', components: ['W_I'] }, once.folder);
    await expect(again).rejects.toMatchObject({
      code: 'factorize.nothing',
      message: expect.stringContaining('a factor already'),
    });
    const more = await run(
      'factorize',
      'more',
      { ...quiet, method: 'svd', components: ['W_I', 'W_O'], budget: { type: 'rank', rank: 4 } },
      once.folder,
    );
    expect(more.result.sections.map(({ title }) => title)).toContain('Chosen, but not factorized');
    await expect(run('prune', 'neurons', { ...QUICK, epochs: 1 }, once.folder)).rejects.toMatchObject({
      code: 'export.rewritten',
    });
    const large = run('factorize', 'large', { ...quiet, method: 'svd', budget: { type: 'rank', rank: 30 } });
    await expect(large).rejects.toThrow('No matrix would become smaller');
    const stopped = run('factorize', 'stopped', quiet, trained, { signal: AbortSignal.abort() });
    await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
    await expect(run('factorize', 'no-data', quiet, trained, { datasets: {} })).rejects.toMatchObject({
      code: 'factorize.data',
    });
  });

  it('fits a budget in bytes', async () => {
    const whole = await run('factorize', 'any', {
      ...quiet,
      method: 'svd',
      budget: { type: 'parameters', share: 0.9 },
    });
    const bytes = Math.round(0.9 * figureOf(whole.result, 'bytes.model'));
    const { result } = await run('factorize', 'bytes', { ...quiet, method: 'svd', budget: { type: 'bytes', bytes } });
    expect(figureOf(result, 'bytes.model')).toBeLessThanOrEqual(bytes);
    expect(figureOf(result, 'bytes.model')).toBeGreaterThan(0.8 * bytes);
  });

  it('measures products whole and thin', async () => {
    const times = await timeProducts({ rows: 64, columns: 64, rank: 8 }, 1, new AbortController().signal);
    expect(times.whole).toBeGreaterThan(0);
    expect(times.thin).toBeGreaterThan(0);
  });
});

describe('refusals at submit', () => {
  it.each([
    [{ components: ['W_Q'], budget: { type: 'rank', rank: 33 } }, 'budget.rank', 'rank-above-full'],
    [{ budget: { type: 'parameters', share: 0.1 } }, 'budget.share', 'budget-too-small'],
    [{ budget: { type: 'bytes', bytes: 1000 } }, 'budget.bytes', 'budget-too-small'],
    [{ method: 'svd', epochs: 1 }, 'epochs', 'no-data'],
    [{}, 'method', 'no-data'],
  ])('%j', async (settings, path, code) => {
    const { manifest } = await readBundle(trained);
    const datasets = code === 'no-data' ? {} : { data: await readDatasetInfo(dataset) };
    const issues = factorizeIssues(factorizeSchema.parse(settings), { model: manifest, datasets });
    expect(issues).toEqual([expect.objectContaining({ path, code })]);
  });

  it('knows models that lack a component, are factorized or quantized already', async () => {
    const { manifest } = await readBundle(trained);
    const config = factorizeSchema.parse({ method: 'svd' });
    const codes = (model: typeof manifest): string[] =>
      factorizeIssues(config, { model, datasets: {} }).map(({ code }) => code);
    expect(codes(manifest)).toEqual([]);
    expect(
      codes({ ...manifest, components: manifest.components.filter(({ component }) => component !== 'W_V') }),
    ).toEqual(['no-component']);
    const outcome = STAGES.factorize.outcome!(config, manifest, {})!;
    expect(new Set(codes(outcome))).toEqual(new Set(['already-factorized']));
  });

  it('estimates what a budget leaves', async () => {
    const { manifest } = await readBundle(trained);
    const estimate = (settings: object) =>
      estimateFactorize(factorizeSchema.parse(settings), { model: manifest, datasets: {} });
    const chosen = 2 * (4 * 32 * 32 + 2 * 32 * 64);
    const half = 1 - (0.5 * chosen) / manifest.parameters.total;
    expect(estimate({ budget: { type: 'parameters', share: 0.5 } }).parameters).toBeCloseTo(half, 10);
    expect(estimate({ budget: { type: 'rank', rank: 8 } }).flops).toBeLessThan(1);
    expect(estimate({ budget: { type: 'energy', share: 0.9 } })).toEqual({ notes: expect.any(Array) as string[] });
  });
});
