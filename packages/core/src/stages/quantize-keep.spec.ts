import { join } from 'node:path';
import { median } from '../bench/statistics';
import { readBundle, readManifest, writeBundle } from '../bundle';
import { predict } from '../evaluate';
import { Tensor } from '../graph';
import { reportSectionSchema } from '../report/measurement';
import { ortRuntime } from '../runtime';
import { readDatasetInfo } from '../text';
import { quantizeStage } from './quantize';
import { sensitivityStage } from './sensitivity';
import { datasetFolder, temporaryFolder, testContext, tinyBundle, tinyExamples } from './testing';

const FRAGILE = 'bert.encoder.layer.1.intermediate.dense.weight';

const DEV = tinyExamples(60);

/** Logit of the first class minus that of the second, for each dev text. */
async function leanings(bundle: string): Promise<number[]> {
  const { logits } = await predict(bundle, datasetFolder({ dev: DEV }), 'dev', { runtime: ortRuntime });
  return DEV.map((_, row) => logits[2 * row] - logits[2 * row + 1]);
}

/**
 * The tiny bundle with one weight that int8 ruins: a row of it is so large that the other rows are rounded away. The row
 * itself does nothing, because LayerNorm gives its input as 0. Half of the dev texts are of each class.
 */
async function fragileBundle(): Promise<string> {
  const bundle = await readBundle(await tinyBundle());
  const folder = join(temporaryFolder(), 'fragile');
  const change = (name: string, edit: (data: Float32Array, columns: number) => void): void => {
    const value = bundle.model.graph.value(name);
    const { dims, data } = value.constant as Tensor<'float32'>;
    const copy = data.slice();
    edit(copy, dims.at(-1)!);
    value.constant = Tensor.float32(dims, copy);
  };
  change('bert.encoder.layer.1.attention.output.LayerNorm.weight', (data) => (data[0] = 0));
  change('bert.encoder.layer.1.attention.output.LayerNorm.bias', (data) => (data[0] = 0));
  change(FRAGILE, (data, columns) => data.fill(10_000, 0, columns));
  await writeBundle(folder, bundle);
  const middle = median(await leanings(folder));
  change('classifier.bias', (data) => (data[0] -= middle));
  await writeBundle(folder, bundle);
  return folder;
}

/** A data set on which the model is always right, so that every change of its answers costs something. */
async function ownAnswers(bundle: string): Promise<string> {
  const leaning = await leanings(bundle);
  const dev = DEV.map((row, i) => ({ ...row, label: leaning[i] > 0 ? 'negative' : 'positive' }));
  return datasetFolder({ train: tinyExamples(10), dev });
}

const config = (keep: object) => quantizeStage.schema.parse({ form: 'matmul-integer', keep });

describe('quantize stage with keep', () => {
  let model: string;
  let data: string;
  beforeAll(async () => {
    model = await fragileBundle();
    data = await ownAnswers(model);
  });

  const run = async (keep: object, bundle = model) => {
    const context = testContext({ model: bundle, datasets: { data } });
    const result = await quantizeStage.run(config(keep), context);
    const trials = result.sections.find(({ title }) => title === 'Versions tried to keep the accuracy');
    if (trials?.kind !== 'table') throw new Error('no table of trials');
    return { result, context, trials };
  };

  it('leaves the weights float that cost most, and only those, until the limit holds', async () => {
    const { result, context, trials } = await run({ maxDrop: { metric: 'loss', relative: 0.1 } });
    expect(trials.rows[0]?.at(-1)).toBe('no');
    expect(trials.rows.find(([version]) => String(version).endsWith('★'))?.at(-1)).toBe('yes');
    const { model: graph, manifest } = await readBundle(join(context.output, 'model'));
    const floats = manifest.components
      .filter(({ layer, weight }) => layer !== undefined && graph.graph.value(weight).dtype === 'float32')
      .map(({ weight }) => weight);
    expect(floats).toEqual([FRAGILE]);
    for (const section of result.sections) expect(reportSectionSchema.parse(section)).toEqual(section);
    const fractions = context.reported.map(({ fraction }) => fraction);
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  });

  it('takes the best so far when trials are used up, and says so', async () => {
    const { result, trials } = await run({ maxDrop: { metric: 'loss', absolute: 0 }, maxTrials: 1 });
    expect(trials.rows).toHaveLength(1);
    expect(trials.note).toContain('trials or time used up');
    expect(result.model).toBe('model');
    expect(result.warnings.join(' ')).toContain('the best version so far was taken');
  });

  it('tries in the order that a sensitivity stage found', async () => {
    const context = testContext({ model, datasets: { data } });
    const settings = { choices: [{ type: 'int8' }], cells: false, rows: 30, latency: { sequence: 8, seconds: 0.1 } };
    await sensitivityStage.run(sensitivityStage.schema.parse(settings), context);
    const { trials } = await run({ maxDrop: { metric: 'loss', relative: 0.1 } }, join(context.output, 'model'));
    expect(trials.rows[1]?.[1]).toBe('the worst left float too');
  });

  it('leaves the most sensitive matrices float, and asks for the stage that ranks them', async () => {
    const ranked = testContext({ model, datasets: { data } });
    const settings = { choices: [{ type: 'int8' }], rows: 30, latency: { sequence: 8, seconds: 0.1 } };
    await sensitivityStage.run(sensitivityStage.schema.parse(settings), ranked);
    const exclude = quantizeStage.schema.parse({ form: 'matmul-integer', exclude: { mostSensitive: 1 } });
    const folder = join(ranked.output, 'model');
    const context = testContext({ model: folder });
    await quantizeStage.run(exclude, context);
    const { graph } = (await readBundle(join(context.output, 'model'))).model;
    expect(graph.value(FRAGILE).dtype).toBe('float32');
    const check = async (bundle: string) =>
      quantizeStage.check?.(exclude, { model: await readManifest(bundle), datasets: {} }).map(({ code }) => code);
    expect(await check(folder)).toEqual([]);
    expect(await check(model)).toEqual(['no-ranking']);
    await expect(quantizeStage.run(exclude, testContext({ model }))).rejects.toMatchObject({
      code: 'quantize.no-ranking',
    });
  });

  it('refuses at submit what cannot be kept', async () => {
    const preview = { model: await readManifest(model), datasets: { data: await readDatasetInfo(data) } };
    const problems = (keep: object, more: object = {}) =>
      quantizeStage.check?.(config(keep), { ...preview, ...more }).map(({ path, code }) => [path, code]);
    const keep = { maxDrop: { absolute: 0.01 } };
    expect(problems(keep)).toEqual([]);
    expect(problems(keep, { datasets: {} })).toEqual([['keep', 'no-data']]);
    const testOnly = await readDatasetInfo(datasetFolder({ test: tinyExamples(4) }));
    expect(problems(keep, { datasets: { data: testOnly } })).toEqual([['keep', 'no-split']]);
    expect(problems({ maxDrop: { metric: 'bleu', absolute: 0.01 } })).toEqual([
      ['keep.maxDrop.metric', 'unknown-metric'],
    ]);
    expect(problems(keep, { model: { ...preview.model, architecture: 'dan' } })).toEqual([['keep', 'unsupported']]);
    expect(() => config({ maxDrop: {} })).toThrow('absolute');
  });
});
