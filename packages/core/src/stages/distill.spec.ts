import { cpSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { knownSlots } from '@modelpress/dan';
import { readBundle, readManifest } from '../bundle';
import { readDan } from '../dan';
import { readTeachers } from '../distill/teachers';
import { predict } from '../evaluate';
import { measurementSchema, reportSectionSchema } from '../report/measurement';
import { bf16Obstacle, ortRuntime } from '../runtime';
import { datasetInfoSchema } from '../text';
import type { Example } from '../text';
import { Random } from '../train/random';
import { benchmarkStage } from './benchmark';
import { distillStage } from './distill';
import { evaluateStage } from './evaluate';
import { finetuneStage } from './finetune';
import { quantizeStage } from './quantize';
import type { StageResult } from './stage';
import { datasetFolder, temporaryFolder, testContext, tinyBundle } from './testing';

const [PRAISE, BLAME, OTHER] = ['good', 'bad', 'some'].map((word) => Array.from({ length: 40 }, (_, i) => word + i));

/** Texts of words that praise or blame, among others; the label says which there are more of. */
function examples(count: number, seed: number): Example[] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_, i) => {
    const label = i % 2 === 0 ? 'positive' : 'negative';
    const [many, few] = label === 'positive' ? [PRAISE, BLAME] : [BLAME, PRAISE];
    const pick = (words: string[], times: number): string[] =>
      Array.from({ length: times }, () => words[random.integer(40)]);
    return { text: random.shuffle([...pick(many, 3), ...pick(few, 1), ...pick(OTHER, 4)]).join(' '), label };
  });
}

const unlabelled = (rows: readonly Example[]): Example[] => rows.map(({ text }) => ({ text }));
/** The training losses of distillation, by step. */
function losses({ sections }: StageResult): number[] {
  const curve = sections.find(({ title }) => title === 'Distillation: training loss');
  return curve?.kind === 'curve' ? curve.series[0].points.map(([, loss]) => loss) : [];
}

const value = ({ measurements }: StageResult, metric: string): number =>
  measurements.find((measurement) => measurement.metric === metric)?.value ?? Number.NaN;

describe('distill stage', () => {
  let teacher: string;
  let taughtBy: number;
  let data: string;
  let texts: string;
  beforeAll(async () => {
    const many = datasetFolder({ train: examples(1500, 1), dev: examples(100, 2) });
    data = datasetFolder({ train: examples(60, 3), dev: examples(200, 4), test: examples(300, 5) });
    texts = datasetFolder({ train: unlabelled(examples(1500, 6)) });
    const context = testContext({ datasets: { data: many } });
    const config = {
      scratch: { layers: 1, hidden: 32, heads: 2, vocabulary: 400 },
      epochs: 4,
      dropout: 0,
      optimizer: { learningRate: 3e-3 },
    };
    const result = await finetuneStage.run(finetuneStage.schema.parse(config), context);
    taughtBy = value(result, 'accuracy');
    teacher = join(context.output, 'model');
  }, 120_000);

  const run = async (config: object, datasets: object): Promise<{ folder: string; result: StageResult }> => {
    const context = testContext({ model: teacher, datasets });
    const result = await distillStage.run(distillStage.schema.parse({ batchSize: 32, ...config }), context);
    return { folder: join(context.output, 'model'), result };
  };
  const dan = { type: 'dan', ngrams: 4000, maxOrder: 2, dimension: 24 };

  it('has a teacher that knows', () => {
    expect(taughtBy).toBeGreaterThan(0.95);
  });

  it('makes a DAN that learns from unlabelled texts what few labels cannot teach', async () => {
    const scratch = await run({ student: dan, weight: 0, epochs: 20, fineTune: { epochs: 0 } }, { data });
    const taught = await run({ student: dan, epochs: 8 }, { data, unlabelled: texts });
    for (const measurement of taught.result.measurements)
      expect(measurementSchema.parse(measurement)).toEqual(measurement);
    for (const section of taught.result.sections) expect(reportSectionSchema.parse(section)).toEqual(section);
    const accuracy = value(taught.result, 'accuracy');
    expect(accuracy).toBeGreaterThan(0.93);
    expect(accuracy - value(scratch.result, 'accuracy')).toBeGreaterThan(0.05);
    expect(readdirSync(taught.folder).sort()).toEqual(['labels.json', 'manifest.json', 'model.dan', 'model.onnx']);

    // The runtime, the graph and the definition agree.
    const bundle = await readBundle(taught.folder);
    const own = await predict(taught.folder, data, 'test', { runtime: ortRuntime });
    const model = readDan(taught.folder);
    const executable = await ortRuntime.compile(bundle.model, { threads: 1 });
    for (const [row, { text }] of examples(300, 5).slice(0, 20).entries()) {
      const slots = knownSlots(model, text);
      const dims = [1, slots.length];
      const ids = BigInt64Array.from(slots, BigInt);
      const { logits } = await executable.run({
        input_ids: { dtype: 'int64', dims, data: ids },
        attention_mask: { dtype: 'int64', dims, data: ids.map(() => 1n) },
      });
      (logits.data as Float32Array).forEach((logit, i) => expect(own.logits[row * 2 + i]).toBeCloseTo(logit, 4));
    }
    await executable.release();

    // Every later stage takes it.
    const scored = await evaluateStage.run(
      evaluateStage.schema.parse({}),
      testContext({ model: taught.folder, baseline: teacher, datasets: { data } }),
    );
    expect(value(scored, 'accuracy')).toBeGreaterThan(0.9);
    const context = testContext({ model: taught.folder });
    await quantizeStage.run(quantizeStage.schema.parse({ form: 'matmul-integer' }), context);
    const int8 = join(context.output, 'model');
    expect(readDan(int8).table.type).toBe('int8');
    const quantized = await predict(int8, data, 'test', { runtime: ortRuntime });
    const agrees = quantized.logits.filter((logit, i) => Math.abs(logit - own.logits[i]) < 0.2).length;
    expect(agrees).toBeGreaterThan(0.97 * own.logits.length);
    const grid = { batches: [1], sequences: [8], seconds: 0.1, minRounds: 3, warmup: 0, memory: false };
    const timed = await benchmarkStage.run(
      benchmarkStage.schema.parse(grid),
      testContext({ model: taught.folder, baseline: teacher, datasets: { data } }),
    );
    expect(value(timed, 'latency.p50')).toBeGreaterThan(0);
  });

  it('asks the teacher once for the students of a sweep', async () => {
    const cache = temporaryFolder();
    const asked: number[] = [];
    for (const student of [dan, { ...dan, pooling: 'max' }, dan]) {
      const phases: string[] = [];
      const progress = ({ phase }: { phase: string }): void => void phases.push(phase);
      const datasets = { data, unlabelled: texts };
      const changes = { cache, progress };
      const context = { ...testContext({ model: teacher, datasets }), ...changes };
      const config = { student, epochs: 3, fineTune: { epochs: 0 }, maxLength: asked.length < 2 ? 32 : 16 };
      await distillStage.run(distillStage.schema.parse(config), context);
      asked.push(phases.filter((phase) => phase.includes('teacher: batch')).length);
    }
    expect(asked[0]).toBeGreaterThan(10);
    expect(asked[1]).toBe(0);
    // Cut elsewhere, the texts are others.
    expect(asked[2]).toBe(asked[0]);
    expect(readdirSync(join(cache, 'logits'))).toHaveLength(2);
  });

  it('asks a teacher in bf16, one in int8 too, and says where that is not possible', async () => {
    const int8 = testContext({ model: teacher });
    await quantizeStage.run(quantizeStage.schema.parse({ form: 'matmul-integer' }), int8);
    const student = { ...dan, start: 'random' };
    const config = { student, precision: 'bf16', epochs: 8, batchSize: 32, fineTune: { epochs: 0 } };
    for (const model of [teacher, join(int8.output, 'model')]) {
      const context = testContext({ model, datasets: { data, unlabelled: texts } });
      const result = await distillStage.run(distillStage.schema.parse(config), context);
      expect(value(result, 'accuracy')).toBeGreaterThan(0.85);
      const said = result.warnings.filter((warning) => warning.includes('bf16'));
      expect(said).toHaveLength(bf16Obstacle() === undefined ? 0 : 1);
    }
  });

  it('learns from two teachers, and lets the input model learn from the original', async () => {
    const weak = testContext({ datasets: { data } });
    const scratch = { architecture: 'textcnn', embedding: 16, kernels: [1, 2], filters: 16, vocabulary: 300 };
    await finetuneStage.run(finetuneStage.schema.parse({ scratch, epochs: 1, dropout: 0 }), weak);
    const student = join(weak.output, 'model');
    const datasets = { data, unlabelled: texts };
    const context = testContext({ model: student, baseline: teacher, datasets });
    const learning = { epochs: 3, dropout: 0, optimizer: { learningRate: 5e-3 }, fineTune: { epochs: 0 } };
    const config = distillStage.schema.parse({ ...learning, student: { type: 'model' } });
    expect(value(await distillStage.run(config, context), 'accuracy')).toBeGreaterThan(0.9);
    expect((await readManifest(join(context.output, 'model'))).architecture).toBe('textcnn');

    const both = testContext({ model: join(context.output, 'model'), baseline: teacher, datasets });
    const mixed = { student: { ...dan, start: 'random' }, epochs: 6, original: 0.5, fineTune: { epochs: 0 } };
    expect(value(await distillStage.run(distillStage.schema.parse(mixed), both), 'accuracy')).toBeGreaterThan(0.9);
    const alone = { ...both, baseline: undefined };
    await expect(distillStage.run(distillStage.schema.parse(mixed), alone)).rejects.toMatchObject({
      code: 'distill.no-original',
    });
  });

  it('learns from further teachers by their weights, and refuses one that does not know the labels', async () => {
    const teachers = [teacher, teacher];
    const context = { ...testContext({ model: teacher, baseline: teacher, datasets: { data } }), teachers };
    const student = { ...dan, start: 'random' };
    const config = { student, epochs: 2, fineTune: { epochs: 0 }, augment: { texts: 2, by: ['drop'] } };
    const parse = (more: object) => distillStage.schema.parse({ ...config, ...more });
    await distillStage.run(parse({ teacherWeights: [1, 2], original: 0.5 }), context);
    expect(readdirSync(context.checkpoints).filter((name) => name.startsWith('teacher-'))).toHaveLength(3);
    const { provenance } = await readManifest(join(context.output, 'model'));
    expect(provenance.at(-1)).toMatchObject({
      detail: { teachers: Array.from({ length: 4 }, () => expect.any(String)) },
    });
    const weighed = await readTeachers(
      parse({ teacherWeights: [1, 2], original: 0.5 }),
      { ...context, model: teacher },
      undefined,
    );
    const sum = weighed.reduce((total, { weight }) => total + weight, 0);
    expect(weighed.map(({ weight }) => weight / sum)).toEqual([0.125, 0.125, 0.25, 0.5]);

    const mismatch = { code: 'distill.teacher-weights', details: { field: 'teacherWeights' } };
    await expect(distillStage.run(parse({ teacherWeights: [1] }), context)).rejects.toMatchObject(mismatch);
    const preview = { model: await readManifest(teacher), datasets: {} };
    const more = { teachers: [preview.model, { ...preview.model, task: 'embedding' as const }] };
    const found = distillStage.check!(parse({ teacherWeights: [1] }), { ...preview, ...more });
    expect(found.map(({ code }) => code)).toEqual(['teacher-weights', 'task']);

    const other = join(temporaryFolder(), 'other');
    cpSync(teacher, other, { recursive: true });
    writeFileSync(join(other, 'labels.json'), JSON.stringify(['negative', 'ironic']));
    const stranger = { ...context, teachers: [other], datasets: {} };
    await expect(readTeachers(parse({}), { ...stranger, model: teacher }, undefined)).rejects.toMatchObject({
      code: 'distill.labels',
      details: { field: 'teacherIds[0]' },
    });
  });

  it('distils privately: the data set gives nothing but its labels', async () => {
    const { result } = await run({ student: dan, mode: 'private', epochs: 4 }, { data, unlabelled: texts });
    const table = result.sections.find(({ title }) => title === 'Transfer texts');
    expect(table?.kind === 'table' && table.rows.map(([, count]) => count)).toEqual([0, 1500, 0]);
    await expect(run({ student: dan, mode: 'private' }, { data })).rejects.toMatchObject({
      code: 'distill.no-unlabelled',
    });
  });

  it('keeps the most frequent n-grams of a table and goes on from what a stopped attempt left', async () => {
    const context = testContext({ model: teacher, datasets: { data } });
    const config = distillStage.schema.parse({
      student: { ...dan, keepNgrams: 0.25 },
      epochs: 2,
      augment: { texts: 2 },
    });
    await distillStage.run(config, context);
    const folder = join(context.output, 'model');
    const kept = readDan(folder).hash.fingerprints.filter((fingerprint) => fingerprint !== 0).length;
    expect(kept).toBeLessThanOrEqual(1000);
    const again = await distillStage.run(config, context);
    const table = again.sections.find(({ title }) => title === 'Transfer texts');
    expect(table?.kind === 'table' && table.rows.map(([, count]) => count)).toEqual([60, 0, 120]);
  });

  it.each([
    ['transformer', { type: 'transformer', layers: 1, hidden: 16, heads: 2 }],
    ['textcnn', { type: 'textcnn', embedding: 16, filters: 16, kernels: [1, 2] }],
    ['bilstm', { type: 'bilstm', embedding: 16, hidden: 16, dense: 16, vocabulary: 300 }],
    ['layers', { type: 'layers', keep: [0] }],
  ])('makes a %s student', async (type, student) => {
    const optimizer = { learningRate: type === 'layers' ? 1e-4 : 5e-3 };
    const config = { student, epochs: 3, weight: 0.9, dropout: 0, optimizer, fineTune: { epochs: 1 } };
    const { folder, result } = await run(config, { data, unlabelled: texts });
    expect(value(result, 'accuracy')).toBeGreaterThan(0.85);
    const { provenance } = await readManifest(folder);
    expect(provenance.at(-1)).toMatchObject({ step: 'distill', detail: { student: type } });
  });

  it.each([
    ['mse', 16],
    ['cosine', 16],
    ['mse', 32],
  ])(
    'follows hidden states (%s) and attention in a width of %d, and leaves no trace of it',
    async (hiddenLoss, hidden) => {
      const student = { type: 'transformer', layers: 1, hidden, heads: 2 };
      const learning = { epochs: 3, dropout: 0, optimizer: { learningRate: 5e-3 }, fineTune: { epochs: 0 } };
      const { folder, result } = await run(
        { ...learning, student, match: { hidden: 1, hiddenLoss, attention: 1 } },
        { data, unlabelled: texts },
      );
      const points = losses(result);
      expect(points.at(-1)).toBeLessThan(0.8 * points[0]);
      const { model, manifest } = await readBundle(folder);
      expect(model.graph.outputs.map(({ name }) => name)).toEqual(['logits']);
      expect(model.graph.initializers.filter(({ name }) => name.startsWith('match.'))).toEqual([]);
      const { parameters } = await readManifest(teacher);
      expect(manifest.parameters.total).toBeLessThanOrEqual(parameters.total);
    },
  );

  it.each(['mse', 'cosine'])(
    'finds no difference (%s) between the teacher and all of its layers',
    async (hiddenLoss) => {
      const config = {
        student: { type: 'layers', keep: [0] },
        match: { hidden: 1, hiddenLoss, attention: 1 },
        epochs: 1,
      };
      const { result } = await run({ ...config, dropout: 0, fineTune: { epochs: 0 } }, { data });
      expect(Math.abs(losses(result)[0])).toBeLessThan(1e-5);
    },
  );

  it('refuses what cannot work, at submit and while running', async () => {
    const info = datasetInfoSchema.parse({
      format: 1,
      name: 'd',
      kind: 'classification',
      labels: [],
      splits: {},
      warnings: [],
    });
    const model = { ...(await readManifest(teacher)), task: 'regression' as const };
    const config = distillStage.schema.parse({ student: { type: 'layers', keep: [7] }, mode: 'private' });
    const codes = distillStage.check?.(config, { model, datasets: { data: info } }).map(({ code }) => code);
    expect(codes).toEqual(['no-unlabelled', 'task', 'no-such-layer']);
    const bare = { ...(await readManifest(teacher)), components: [] };
    const near = distillStage.schema.parse({ student: dan, augment: { texts: 1 } });
    expect(distillStage.check?.(near, { model: bare, datasets: {} })).toMatchObject([
      { path: 'student.start', code: 'no-word-vectors' },
      { path: 'augment.by', code: 'no-word-vectors' },
    ]);
    const orders = distillStage.schema.parse({ student: { ...dan, minOrder: 3 } });
    expect(distillStage.check?.(orders, { datasets: {} })).toMatchObject([{ path: 'student.minOrder' }]);

    const weighted = distillStage.schema.parse({ student: dan, classWeights: 'balanced', accumulate: 2 });
    expect(distillStage.check?.(weighted, { datasets: {} })).toMatchObject([
      { path: 'accumulate', code: 'dan-setting' },
      { path: 'classWeights', code: 'dan-setting' },
    ]);

    const other = testContext({ model: await tinyBundle(), datasets: { data: temporaryFolder() } });
    await expect(distillStage.run(config, other)).rejects.toMatchObject({ code: 'distill.no-unlabelled' });
  });
});
