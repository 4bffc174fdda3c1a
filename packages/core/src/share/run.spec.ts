import { rmSync } from 'node:fs';
import { checkGradients } from '../autodiff/gradient-check';
import { readBundle } from '../bundle';
import { predict } from '../evaluate';
import { figureOf, openWorkshop, QUICK } from '../finetune/testing';
import type { RunStage } from '../finetune/testing';
import { ortRuntime } from '../runtime';
import { STAGES } from '../stages';
import { readDatasetInfo } from '../text';
import { estimateShare, shareIssues } from './check';
import { shareSchema } from './config';

let folder: string;
let dataset: string;
let trained: string;
let run: RunStage;

const evaluated = async (name: string, model: string): Promise<number> =>
  (await run('evaluate', name, {}, model)).accuracy;

beforeAll(async () => {
  ({ folder, dataset, trained, run } = await openWorkshop());
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('layers that share a matrix', () => {
  const share = { type: 'layers', groups: 'all', components: ['W_Q', 'W_K', 'W_V', 'W_AO', 'W_I', 'W_O'] };
  const elements = 4 * 32 * 32 + 2 * 32 * 64;

  it('add up what each use of it contributes to its gradient', async () => {
    const { errors } = await checkGradients(ortRuntime, {
      inputs: [{ dims: [3, 4] }, { dims: [4, 4] }],
      build: (build, [x, w]) => {
        const first = build.op('Tanh', [build.op('MatMul', [x, w])]);
        return build.op('Tanh', [build.op('MatMul', [build.op('Add', [x, first]), w])]);
      },
    });
    expect(Math.max(...errors)).toBeLessThan(1e-3);
  });

  it('start at the average, recover, and stay shared when trained, pruned and quantized', async () => {
    const [before, plain] = [await readBundle(trained), await run('share', 'average', { share })];
    const made = await plain.read();
    const name = (layer: number): string => `bert.encoder.layer.${layer}.intermediate.dense.weight`;
    const [a, b] = [0, 1].map((layer) => before.model.graph.value(name(layer)).constant!.toNumbers());
    const average = made.model.graph.value(name(0)).constant!.toNumbers();
    average.forEach((value, i) => expect(value).toBeCloseTo((a[i] + b[i]) / 2, 6));
    expect(made.model.graph.values.has(name(1))).toBe(false);
    expect(made.manifest.parameters.total).toBe(before.manifest.parameters.total - elements);
    expect(figureOf(plain.result, 'bytes.model')).toBeLessThan(4 * before.manifest.parameters.total);

    const recovered = await run('share', 'recovered', { ...QUICK, share, epochs: 4, distill: {} });
    expect(recovered.accuracy).toBeGreaterThan(0.95);
    const tuned = await run('finetune', 'tuned', { ...QUICK, epochs: 1 }, recovered.folder);
    const small = await run('quantize', 'int8', {}, tuned.folder);
    const settings = { granularity: { type: 'weight' }, target: 0.3, scope: 'matrix', epochs: 0, pruningEpochs: 0 };
    const pruned = await run('prune', 'pruned', { ...QUICK, ...settings }, tuned.folder);
    for (const { read, folder: out } of [recovered, tuned, small, pruned]) {
      const { manifest } = await read();
      const weights = manifest.components.filter(({ component }) => component === 'W_I').map(({ weight }) => weight);
      expect(weights).toEqual([name(0), name(0)]);
      expect(manifest.parameters.total).toBe(made.manifest.parameters.total);
      expect(await evaluated(`scores-${out.split('/').at(-3)}`, out)).toBeGreaterThan(0.9);
    }
  });

  it('cannot lose neurons, be adapted each alone or be built anew', async () => {
    const { folder: out } = await run('share', 'plain', { share });
    const neurons = run('prune', 'neurons', { ...QUICK, epochs: 1 }, out);
    await expect(neurons).rejects.toMatchObject({ code: 'export.rewritten' });
    const lora = run('finetune', 'lora', { ...QUICK, epochs: 1, method: { type: 'lora' } }, out);
    await expect(lora).rejects.toMatchObject({ code: 'adapt.shared' });
    const factors = { method: 'svd', components: ['W_I'], budget: { type: 'rank', rank: 4 } };
    const thin = await (await run('factorize', 'thin', factors, out)).read();
    expect(thin.manifest.components.filter(({ component }) => component === 'W_I')).toHaveLength(4);
    expect(new Set(thin.manifest.components.map(({ weight }) => weight)).size).toBeLessThan(
      thin.manifest.components.length,
    );
  });
});

describe('codebooks', () => {
  const share = (bits: number, more: object = {}): object => ({ share: { type: 'codebooks', bits, ...more } });

  it('make the file small and count every weight; at 8 bits the model answers as before', async () => {
    const [before, eight, three] = [
      await readBundle(trained),
      await run('share', 'eight', share(8, { rowsPerGroup: 64 })),
      await run('share', 'three', share(3)),
    ];
    const logitsOf = async (model: string): Promise<Float32Array> =>
      (await predict(model, dataset, 'test', { runtime: ortRuntime, compile: { threads: 1 } })).logits;
    const [original, coded] = [await logitsOf(trained), await logitsOf(eight.folder)];
    coded.forEach((logit, i) => expect(Math.abs(logit - original[i])).toBeLessThan(0.2));
    const { manifest } = await three.read();
    expect(manifest.parameters).toEqual(before.manifest.parameters);
    expect(manifest.codebooks).toHaveLength(16);
    expect(manifest.components.map(({ component }) => component)).toEqual(['classifier']);
    expect(figureOf(three.result, 'bytes.model')).toBeLessThan(figureOf(eight.result, 'bytes.model'));
    expect(figureOf(three.result, 'bytes.weightsLoaded')).toBeGreaterThan(4 * before.manifest.parameters.total);
    expect(three.result.sections.map(({ title }) => title)).toEqual([
      'On disk and at run time',
      'Weights stored as codes',
    ]);
  });

  it.each(['centroids', 'all'])(
    'of 1 bit recover by training (%s), and can be fine-tuned as they are',
    async (train) => {
      const lost = await run('share', `one-${train}`, share(1));
      const settings = { ...QUICK, ...share(1, { train }), epochs: 4, distill: {} };
      const recovered = await run('share', `trained-${train}`, settings);
      expect(await evaluated(`after-${train}`, recovered.folder)).toBeGreaterThan(
        await evaluated(`before-${train}`, lost.folder),
      );
      const { model, manifest } = await recovered.read();
      const book = manifest.codebooks!.find(({ component }) => component === 'W_I')!;
      expect(model.graph.value(book.centroids).constant!.dims).toEqual([2]);
      if (train === 'centroids') return;
      const tuned = await (await run('finetune', 'tuned-codes', { ...QUICK, epochs: 1 }, recovered.folder)).read();
      expect(tuned.manifest.codebooks).toEqual(manifest.codebooks);
      const codes = (bundle: typeof tuned): Uint8Array => bundle.model.graph.value(book.codes).constant!.bytes;
      expect(codes(tuned)).toEqual(codes({ ...tuned, model }));
    },
  );

  it('stand for factors, too, while layers cannot share those', async () => {
    const factors = { method: 'svd', components: ['W_I'], budget: { type: 'rank', rank: 8 } };
    const thin = await run('factorize', 'factors', factors);
    const coded = await run('share', 'coded-factors', share(6), thin.folder);
    const { manifest } = await coded.read();
    expect(manifest.codebooks!.filter(({ factor }) => factor)).toHaveLength(4);
    expect(manifest.parameters).toEqual((await thin.read()).manifest.parameters);
    expect(await evaluated('coded-scores', coded.folder)).toBeGreaterThan(0.8);
    const config = shareSchema.parse({ share: { type: 'layers', components: ['W_I'] } });
    const issues = shareIssues(config, { model: (await thin.read()).manifest, datasets: {} });
    expect(issues.map(({ code }) => code)).toContain('factorized');
  });

  it('says what the dev score was of the weights that it stores', async () => {
    const { accuracy, folder: out } = await run('share', 'scored', { ...QUICK, ...share(4), epochs: 1 });
    expect(await evaluated('scored-again', out)).toBeCloseTo(accuracy, 1);
  });

  it('refuses at run time what is stored as codes already, and stops when told', async () => {
    const { folder: out } = await run('share', 'once', share(4));
    await expect(run('share', 'twice', share(4), out)).rejects.toMatchObject({ code: 'share.nothing' });
    await expect(run('prune', 'coded', { ...QUICK, epochs: 1 }, out)).rejects.toMatchObject({
      code: 'export.rewritten',
    });
    const stopped = run('share', 'stopped', share(4), trained, { signal: AbortSignal.abort() });
    await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
  });
});

describe('refusals at submit', () => {
  it.each([
    [{ share: { type: 'layers', groups: [[0, 2]] } }, 'share.groups[0]', 'no-such-layer'],
    [
      {
        share: {
          type: 'layers',
          groups: [
            [0, 1],
            [1, 0],
          ],
        },
      },
      'share.groups[1]',
      'layer-twice',
    ],
    [{ share: { type: 'codebooks' }, epochs: 1 }, 'epochs', 'no-data'],
  ])('%j', async (settings, path, code) => {
    const { manifest } = await readBundle(trained);
    const issues = shareIssues(shareSchema.parse(settings), { model: manifest, datasets: {} });
    expect(issues).toEqual([expect.objectContaining({ path, code })]);
  });

  it('knows layers of other shapes, lacking components and codes that are there already', async () => {
    const { manifest } = await readBundle(trained);
    const data = await readDatasetInfo(dataset);
    const codes = (settings: object, model: typeof manifest): string[] =>
      shareIssues(shareSchema.parse(settings), { model, datasets: { data } }).map(({ code }) => code);
    const [first, second] = manifest.structure!.layers;
    const uneven = { ...manifest, structure: { ...manifest.structure!, layers: [first, { ...second, ffn: 40 }] } };
    expect(codes({ share: { type: 'layers' } }, uneven)).toEqual(['unequal-shapes', 'unequal-shapes']);
    expect(codes({ share: { type: 'layers' } }, { ...manifest, structure: undefined })).toEqual(['no-layers']);
    const outcome = STAGES.share.outcome!(shareSchema.parse({}), manifest, {})!;
    expect(new Set(codes({}, outcome))).toEqual(new Set(['codebook']));
    expect(codes({}, { ...manifest, components: [] })).toContain('no-component');
    expect(() => shareSchema.parse({ share: { type: 'codebooks', bits: 9 } })).toThrow('bits');
    const structured = STAGES.prune.check!(STAGES.prune.schema.parse({}), { model: outcome, datasets: { data } });
    expect(structured.map(({ code }) => code)).toContain('rewritten');
  });

  it('estimates files, not speed', async () => {
    const { manifest } = await readBundle(trained);
    const estimate = (settings: object) =>
      estimateShare(shareSchema.parse(settings), { model: manifest, datasets: {} });
    const pairs = estimate({ share: { type: 'layers' } });
    expect(pairs.bytes).toBeCloseTo(1 - (2 * 32 * 64) / manifest.parameters.total, 10);
    expect(pairs.flops).toBe(1);
    const coded = estimate({});
    expect(coded.parameters).toBe(1);
    expect(coded.bytes).toBeLessThan(0.3);
  });
});
