import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readManifest } from '../bundle/bundle';
import { bf16Obstacle } from '../runtime';
import { measurementSchema, reportSectionSchema } from '../report/measurement';
import { datasetInfoSchema } from '../text';
import { evaluateStage } from './evaluate';
import { quantizeStage } from './quantize';
import type { StageResult } from './stage';
import { datasetFolder, testContext, tinyBundle, tinyExamples } from './testing';

const config = (given: object = {}) => evaluateStage.schema.parse({ robustness: { perturbations: [] }, ...given });
const figure = ({ measurements }: StageResult, metric: string, subject = 'candidate') =>
  measurements.find((measurement) => measurement.metric === metric && measurement.subject === subject);

describe('evaluate stage', () => {
  let model: string;
  let other: string;
  let data: string;
  beforeAll(async () => {
    [model, other] = [await tinyBundle(1), await tinyBundle(2)];
    data = datasetFolder({ train: tinyExamples(10), test: tinyExamples(120) });
  });

  it('scores a classifier alone when there is no other original', async () => {
    const context = testContext({ model, baseline: model, datasets: { data } });
    const result = await evaluateStage.run(config(), context);
    expect(new Set(result.measurements.map(({ subject }) => subject))).toEqual(new Set(['candidate']));
    for (const measurement of result.measurements) expect(measurementSchema.parse(measurement)).toEqual(measurement);
    for (const section of result.sections) expect(reportSectionSchema.parse(section)).toEqual(section);
    const { value, interval, context: where } = figure(result, 'accuracy') ?? {};
    expect(where).toEqual({ split: 'test' });
    expect(interval?.[0]).toBeLessThanOrEqual(value ?? 0);
    expect(interval?.[1]).toBeGreaterThanOrEqual(value ?? 1);
    const matrix = result.sections.find((section) => section.kind === 'heatmap');
    const counts = matrix?.kind === 'heatmap' ? matrix.values : [];
    expect(counts.flat().reduce((sum: number, count) => sum + (count ?? 0), 0)).toBe(120);
    expect((counts[0][0] ?? 0) + (counts[1][1] ?? 0)).toBeCloseTo(120 * (value ?? 0), 8);
  });

  it('in bf16 compares a model with itself in fp32, or says why it cannot', async () => {
    const context = testContext({ model, baseline: model, datasets: { data } });
    const result = await evaluateStage.run(config({ precision: 'bf16' }), context);
    const isPossible = bf16Obstacle() === undefined;
    expect(result.warnings.some((text) => text.includes('precision bf16 is not possible'))).toBe(!isPossible);
    // rounded operands change the probabilities, but little
    const probabilities = figure(result, 'fidelity.probabilities', 'comparison')?.value;
    const isNear = probabilities !== undefined && probabilities > 0.99 && probabilities < 1;
    expect(isNear).toBe(isPossible);
  });

  it('finds that an int8 model answers as its original, and another model does not', async () => {
    const context = testContext({ model });
    await quantizeStage.run(quantizeStage.schema.parse({ form: 'matmul-integer' }), context);
    const int8 = join(context.output, 'model');
    const quantized = await evaluateStage.run(
      config(),
      testContext({ model: int8, baseline: model, datasets: { data } }),
    );
    expect(figure(quantized, 'fidelity.labels', 'comparison')?.value).toBeGreaterThan(0.95);
    expect(figure(quantized, 'fidelity.probabilities', 'comparison')?.value).toBeGreaterThan(0.95);
    const unlike = await evaluateStage.run(
      config({ robustness: { seeds: 1 } }),
      testContext({ model: other, baseline: model, datasets: { data } }),
    );
    expect(figure(unlike, 'fidelity.labels', 'comparison')?.value).toBeLessThan(0.95);
    const [before, after] = ['baseline', 'candidate'].map((subject) => figure(unlike, 'accuracy', subject)?.value ?? 0);
    const change = figure(unlike, 'accuracy.difference', 'comparison');
    expect(change?.value).toBeCloseTo(after - before, 10);
    expect(change?.interval?.[0]).toBeLessThanOrEqual(after - before);
    expect(unlike.sections.map(({ title }) => title)).toEqual([
      'Quality on the test split',
      'By class',
      'Confusions (row: true class, column: predicted)',
      'Most frequent mistakes',
      'Robustness',
    ]);
    for (const subject of ['candidate', 'baseline']) {
      const kinds = ['typos', 'upper-case', 'word-drop'].map((kind) => figure(unlike, `robustness.${kind}`, subject));
      expect(kinds.map((one) => one?.context)).toEqual(kinds.map(() => ({ split: 'test', rows: 120 })));
      // The tokenizer reads upper case as lower case.
      expect(kinds[1]?.value).toBe(figure(unlike, 'accuracy', subject)?.value);
    }
  });

  it('goes on without an original that cannot be read, and says so', async () => {
    const broken = await tinyBundle(3);
    rmSync(join(broken, 'vocab.txt'));
    const result = await evaluateStage.run(
      config({ split: 'train' }),
      testContext({ model, baseline: broken, datasets: { data } }),
    );
    expect(result.warnings[0]).toMatch(/^The original model could not be evaluated on this data: /);
    expect(figure(result, 'accuracy')).toMatchObject({ context: { split: 'train' } });
  });

  it.each([
    [{ config: { id2label: { 0: 'negative', 1: 'sarcastic' } } }, 'it does not know the labels positive; '],
    [{ task: 'embedding' }, 'it is a model for embedding, not for classification; '],
  ])('does not compare with an original of %j, and says so', async (change, reason) => {
    const stranger = await tinyBundle(4);
    writeFileSync(join(stranger, 'manifest.json'), JSON.stringify({ ...(await readManifest(stranger)), ...change }));
    const context = testContext({ model, baseline: stranger, datasets: { data } });
    const { warnings, measurements } = await evaluateStage.run(config(), context);
    expect(warnings).toContainEqual(expect.stringContaining(`The original model is no comparison, because ${reason}`));
    expect(measurements.filter(({ subject }) => subject !== 'candidate')).toEqual([]);
  });

  it('warns of labels that the model lacks and texts that it cuts', async () => {
    const strange = [...tinyExamples(20), { text: 'good film', label: 'neutral' }];
    const long = { text: Array.from({ length: 60 }, () => 'very').join(' '), label: 'positive' };
    const folder = datasetFolder({ test: [...strange, long] });
    const { warnings } = await evaluateStage.run(config(), testContext({ model, datasets: { data: folder } }));
    expect(warnings).toContain(
      'The data has labels that the model does not know, which always count as errors: neutral.',
    );
    expect(warnings.some((warning) => /4\.5 % of the texts are longer/.test(warning))).toBe(true);
    const unlabelled = datasetFolder({ test: [{ text: 'good film' }] });
    const failing = evaluateStage.run(config(), testContext({ model, datasets: { data: unlabelled } }));
    await expect(failing).rejects.toMatchObject({ code: 'evaluate.no-label' });
  });

  it('refuses at submit what cannot work', async () => {
    const info = datasetInfoSchema.parse({
      format: 1,
      name: 'reviews',
      kind: 'classification',
      labels: ['negative', 'neutral', 'positive'],
      splits: { test: { rows: 5, characters: { p50: 1, p95: 1, max: 1 }, emptyTexts: 0, duplicates: 0 } },
      warnings: [],
    });
    const preview = { model: await readManifest(model), datasets: { data: info } };
    const found = evaluateStage.check?.(config({ split: 'dev', maxLength: 512 }), preview);
    expect(found?.map(({ path, code }) => [path, code])).toEqual([
      ['split', 'no-such-split'],
      ['maxLength', 'too-long'],
      ['', 'unknown-label'],
    ]);
    const unlabelled = { ...preview, datasets: { data: { ...info, kind: 'unlabelled' as const, labels: [] } } };
    expect(evaluateStage.check?.(config(), unlabelled)).toMatchObject([{ code: 'no-labels' }]);
  });
});
