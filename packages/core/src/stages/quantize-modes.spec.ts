import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readBundle, readManifest } from '../bundle/bundle';
import type { Manifest } from '../bundle/manifest';
import { predict } from '../evaluate';
import { ortRuntime } from '../runtime';
import { readDatasetInfo } from '../text';
import { datasetFolder, testContext, tinyBundle, tinyExamples } from './testing';
import { quantizeStage } from './quantize';
import type { StagePreview } from './stage';

const config = (given: object = {}) => quantizeStage.schema.parse(given);

describe('the modes of the quantize stage', () => {
  let model: string;
  let data: string;
  let manifest: Manifest;
  let expected: Float32Array;
  beforeAll(async () => {
    model = await tinyBundle();
    manifest = await readManifest(model);
    data = datasetFolder({ train: tinyExamples(40), dev: tinyExamples(24), test: tinyExamples(12) });
    expected = await logits(model);
  });

  const logits = async (folder: string): Promise<Float32Array> =>
    (await predict(folder, data, 'test', { runtime: ortRuntime, compile: { threads: 1 }, batchSize: 1 })).logits;

  it.each<[string, object, number]>([
    ['static int8', { mode: 'static' }, 0.1],
    ['static int8 by squared error', { mode: 'static', activations: { method: 'mse' } }, 0.1],
    ['static int8 with int8 products', { mode: 'static', activations: { outputs: 'int8' } }, 0.2],
    ['8 bits', { mode: 'weight-only', weights: { bits: 8 } }, 0.05],
    ['6 bits', { mode: 'weight-only', weights: { bits: 6, compute: 'float32' } }, 0.2],
    ['4 bits', { mode: 'weight-only', weights: { block: 16 } }, 0.8],
    ['4 bits, asymmetric', { mode: 'weight-only', weights: { block: 16, symmetric: false } }, 0.8],
    ['4 bits, compensated', { mode: 'weight-only', weights: { block: 16, rounding: 'gptq' } }, 0.8],
    ['fp16', { mode: 'fp16' }, 0.005],
  ])('%s: the bundle loads and says nearly what the float one does', async (_, given, bound) => {
    const context = testContext({ model, datasets: { data } });
    const result = await quantizeStage.run(config(given), context);
    const folder = join(context.output, result.model!);
    await readBundle(folder);
    const actual = await logits(folder);
    const worst = Math.max(...actual.map((value, i) => Math.abs(value - expected[i])));
    expect(worst).toBeGreaterThan(0);
    expect(worst).toBeLessThan(bound * Math.max(...expected.map(Math.abs)));
    const fractions = context.reported.map(({ fraction }) => fraction);
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  });

  it.each<[string, object]>([
    ['static int8', { mode: 'static', train: { epochs: 2, batchSize: 8, maxLength: 32 } }],
    ['dynamic int8', { form: 'matmul-integer', train: { epochs: 2, batchSize: 8, maxLength: 32 } }],
    ['4 bits', { mode: 'weight-only', weights: { block: 16 }, train: { epochs: 2, batchSize: 8, maxLength: 32 } }],
  ])('%s trained: the loss falls, and the file does what the trained graph did', async (_, given) => {
    const curve: number[] = [];
    const dev: number[] = [];
    const context = testContext({
      model,
      datasets: { data },
      metric: (name, __, value) => void (name === 'loss' ? curve : dev).push(value),
    });
    const training = { optimizer: { learningRate: 1e-3 }, metric: 'loss', keepBest: false };
    const asked = { ...given, train: { ...(given as { train: object }).train, ...training } };
    const result = await quantizeStage.run(config(asked), context);
    expect(curve.at(-1)).toBeLessThan(curve[0]);
    const folder = join(context.output, result.model!);
    const { logits: values, labels } = await predict(folder, data, 'dev', {
      runtime: ortRuntime,
      compile: { threads: 1 },
      batchSize: 1,
    });
    const loss = labels.reduce((sum, label, row) => {
      const [a, b] = values.subarray(2 * row, 2 * row + 2);
      return sum + Math.log(Math.exp(a) + Math.exp(b)) - (label === 0 ? a : b);
    }, 0);
    // Look-ups are quantized after the training, and 4-bit codes compute with int8 activations.
    expect(Math.abs(loss / labels.length - dev.at(-1)!)).toBeLessThan(0.1);
    expect(result.sections.map(({ title }) => title)).toContain('Training loss with quantization in the graph');
  });

  describe('refuses at submit', () => {
    const codes = async (given: object, preview: Partial<StagePreview> = {}): Promise<string[]> => {
      const datasets = preview.datasets ?? { data: await readDatasetInfo(data) };
      return (quantizeStage.check?.(config(given), { model: manifest, ...preview, datasets }) ?? []).map(
        ({ path, code }) => `${path}:${code}`,
      );
    };
    const gptq = { mode: 'weight-only', weights: { rounding: 'gptq' } };

    it('calibration without rows, or with labels of another task', async () => {
      expect(await codes({ mode: 'static' })).toEqual([]);
      expect(await codes(gptq)).toEqual([]);
      for (const given of [{ mode: 'static' }, gptq]) {
        expect(await codes(given, { datasets: {} })).toEqual([':no-calibration-data']);
        const info = await readDatasetInfo(datasetFolder({ test: tinyExamples(3) }));
        expect(await codes(given, { datasets: { data: info } })).toEqual([':no-calibration-rows']);
        expect(await codes(given, { datasets: { calibration: info } })).toEqual([]);
        const empty = await readDatasetInfo(datasetFolder({ train: [] }));
        expect(await codes(given, { datasets: { calibration: empty } })).toEqual([':no-calibration-rows']);
        const foreign = { ...manifest, config: { id2label: { 0: 'sports', 1: 'politics' } } };
        expect(await codes(given, { model: foreign })).toEqual([':foreign-labels']);
      }
      expect(await codes({}, { datasets: {} })).toEqual([]);
    });

    it('and says so when the data are such only when they are read', async () => {
      const foreign = datasetFolder({ dev: [{ text: 'good film', label: 'sports' }] });
      const run = (dataset: string): Promise<unknown> =>
        quantizeStage.run(config({ mode: 'static' }), testContext({ model, datasets: { calibration: dataset } }));
      await expect(run(datasetFolder({ train: [] }))).rejects.toMatchObject({ code: 'quantize.no-calibration-rows' });
      const info = await readDatasetInfo(foreign);
      writeFileSync(join(foreign, 'dataset.json'), JSON.stringify({ ...info, labels: ['sports'] }));
      await expect(run(foreign)).rejects.toMatchObject({ code: 'quantize.foreign-labels' });
    });

    it('widths, blocks and ranges that there are not', () => {
      const problem = (given: object): string | undefined => {
        const parsed = quantizeStage.schema.safeParse(given);
        return parsed.success ? undefined : parsed.error.issues[0].path.join('.');
      };
      for (const bits of [1, 2, 3, 5, 7, 9, 16]) expect(problem({ weights: { bits } })).toBe('weights.bits');
      for (const block of [0, 8, 48, 100, 512]) expect(problem({ weights: { block } })).toBe('weights.block');
      expect(problem({ mode: 'int3' })).toBe('mode');
      expect(problem({ activations: { method: 'median' } })).toBe('activations.method');
      expect(problem({ activations: { percentile: 101 } })).toBe('activations.percentile');
      expect(problem({ calibration: { rows: 0 } })).toBe('calibration.rows');
    });

    it('settings of another mode, and training that cannot be', async () => {
      expect(await codes({ weights: { bits: 4 } })).toEqual(['weights:other-mode']);
      expect(await codes({ mode: 'static', form: 'matmul-integer' })).toEqual(['form:other-mode']);
      expect(await codes({ mode: 'fp16', activations: {}, calibration: {}, train: {} })).toEqual([
        'activations:other-mode',
        'calibration:other-mode',
        'train:other-mode',
      ]);
      const weights = { rounding: 'gptq', symmetric: false };
      expect(await codes({ mode: 'weight-only', weights, train: {} })).toEqual([
        'weights.rounding:trained',
        'weights.symmetric:trained',
      ]);
      expect(await codes({ train: {} }, { datasets: {} })).toEqual(['train:no-data']);
      const info = await readDatasetInfo(datasetFolder({ dev: tinyExamples(3) }));
      expect(await codes({ train: {} }, { datasets: { data: info } })).toEqual(['train:no-train-split']);
      expect(await codes({ train: {} }, { model: { ...manifest, task: 'masked-lm' } })).toEqual(['train:task']);
      const dan = { ...manifest, architecture: 'dan' } as const;
      expect(await codes({ mode: 'fp16' }, { model: dan })).toEqual(['mode:dan']);
      expect(await codes({ train: {} }, { model: dan })).toEqual(['train:dan']);
      const { tokenizer: _, ...mute } = manifest;
      expect(await codes({ mode: 'static' }, { model: mute })).toEqual([':no-tokenizer']);
    });
  });

  it('estimates bytes by mode, and promises no speed that it cannot', () => {
    const estimate = (given: object) => quantizeStage.estimate!(config(given), { model: manifest, datasets: {} });
    const bytes = (weights: object): number => estimate({ mode: 'weight-only', weights }).bytes!;
    expect(bytes({})).toBeCloseTo(5 / 32, 10);
    expect(bytes({ bits: 6, block: 128 })).toBeCloseTo(6.25 / 32, 10);
    expect(bytes({ symmetric: false })).toBeCloseTo(5.25 / 32, 10);
    expect(estimate({ mode: 'fp16' }).bytes).toBe(0.5);
    expect(estimate({ mode: 'fp16' }).notes.join()).toContain('runs as before');
    expect(estimate({ mode: 'weight-only', weights: { bits: 6 } }).notes.join()).toContain('bytes on disk only');
    expect(estimate({}).notes[0]).toContain('needs VNNI');
  });
});
