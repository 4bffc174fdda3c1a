import { join } from 'node:path';
import { readManifest } from '../bundle';
import { measurementSchema, reportSectionSchema } from '../report/measurement';
import { readDatasetInfo } from '../text';
import { evaluateStage } from './evaluate';
import { pretrainStage } from './pretrain';
import { datasetFolder, testContext, tinyBundle, tinyExamples } from './testing';

const scratch = { layers: 1, hidden: 16, heads: 2, vocabulary: 100 };
const config = (given: object = {}) =>
  pretrainStage.schema.parse({ scratch, maxLength: 16, batchSize: 8, evaluations: 3, budget: { steps: 6 }, ...given });

describe('pretrain stage', () => {
  let text: string;
  beforeAll(() => {
    text = datasetFolder({ train: tinyExamples(60), test: tinyExamples(20) }, 'unlabelled');
  });

  it('makes a language model that evaluate scores, with curves by time, step and work', async () => {
    const context = testContext({ datasets: { unlabelled: text } });
    const result = await pretrainStage.run(config(), context);
    for (const measurement of result.measurements) expect(measurementSchema.parse(measurement)).toEqual(measurement);
    for (const section of result.sections) expect(reportSectionSchema.parse(section)).toEqual(section);
    expect(result.sections.map((section) => section.kind === 'curve' && section.x)).toEqual([
      'seconds',
      'step',
      'FLOPs',
      'step',
    ]);
    const figures = Object.fromEntries(result.measurements.map(({ metric, value }) => [metric, value]));
    expect(figures['train.steps']).toBe(6);
    expect(figures.perplexity).toBeCloseTo(Math.exp(figures.loss), 8);
    const model = join(context.output, 'model');
    expect(result.model).toBe(model);
    const evaluated = await evaluateStage.run(
      evaluateStage.schema.parse({}),
      testContext({ model, datasets: { data: text } }),
    );
    expect(evaluated.measurements.map(({ metric }) => metric)).toEqual(['perplexity', 'loss']);
    expect(evaluated.measurements[0]).toMatchObject({ context: { split: 'test' } });
  });

  it('refuses at submit what cannot work, and estimates a budget of seconds', async () => {
    const info = await readDatasetInfo(datasetFolder({ test: tinyExamples(3) }, 'unlabelled'));
    const { tokenizer: _, ...model } = await readManifest(await tinyBundle());
    const preview = { model: { ...model, architecture: 'textcnn' as const }, datasets: { unlabelled: info } };
    const found = pretrainStage.check?.(config({ scratch: undefined }), preview);
    expect(found?.map(({ code }) => code)).toEqual(['no-train-split', 'no-tokenizer', 'no-language-model']);
    expect(pretrainStage.estimate?.(config({ budget: { seconds: 90 } }), preview)).toMatchObject({ seconds: 90 });
  });
});
