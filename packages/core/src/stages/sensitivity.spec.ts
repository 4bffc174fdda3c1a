import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readBundle, readManifest } from '../bundle';
import { measurementSchema, reportSectionSchema } from '../report/measurement';
import { readSensitivity } from '../sensitivity';
import { readDatasetInfo } from '../text';
import { sensitivityStage } from './sensitivity';
import { datasetFolder, testContext, tinyBundle, tinyExamples } from './testing';

const config = (given: object = {}) => sensitivityStage.schema.parse(given);
const QUICK = { rows: 20, latency: { sequence: 8, seconds: 0.1 } };

describe('sensitivity stage', () => {
  let model: string;
  let data: string;
  beforeAll(async () => {
    model = await tinyBundle();
    data = datasetFolder({ train: tinyExamples(10), dev: tinyExamples(30), test: tinyExamples(5) });
  });

  it('ranks every choice on every group and hands the model on with the outcome beside it', async () => {
    const context = testContext({ model, datasets: { data } });
    const settings = config({ ...QUICK, choices: [{ type: 'int8' }, { type: 'prune' }, { type: 'rank' }] });
    const { model: made, measurements, sections } = await sensitivityStage.run(settings, context);
    for (const measurement of measurements) expect(measurementSchema.parse(measurement)).toEqual(measurement);
    for (const section of sections) expect(reportSectionSchema.parse(section)).toEqual(section);
    const output = join(context.output, made ?? '');
    const manifest = await readManifest(model);
    const expected = sensitivityStage.outcome?.(settings, manifest, {});
    expect((await readBundle(output)).manifest).toEqual(expected);
    expect(expected).toEqual({
      ...manifest,
      provenance: [
        ...manifest.provenance,
        { step: 'sensitivity', detail: { choices: ['int8', 'prune 50 %', 'rank 25 %'] } },
      ],
    });
    const found = (await readSensitivity(output))!;
    expect(found).toMatchObject({ split: 'dev', rows: 20, metric: 'accuracy' });
    const of = (choice: string, scope: string) =>
      found.effects.filter((effect) => effect.choice === choice && effect.scope === scope);
    // The classifier and the tables of two rows are too small for int8; embeddings have no neurons to prune.
    expect(
      of('int8', 'component')
        .map(({ group }) => group)
        .sort(),
    ).toEqual(['W_AO', 'W_I', 'W_K', 'W_O', 'W_P', 'W_Q', 'W_V', 'embeddings'].sort());
    expect(of('prune 50 %', 'cell')).toHaveLength(12);
    expect(
      of('rank 25 %', 'layer')
        .map(({ group }) => group)
        .sort(),
    ).toEqual(['layer 0', 'layer 1']);
    expect(Math.min(...found.effects.map(({ divergence }) => divergence))).toBeGreaterThanOrEqual(0);
    expect(new Set(of('prune 50 %', 'layer').map(({ speedupBy }) => speedupBy))).toEqual(new Set(['operations']));
    expect(new Set(of('int8', 'layer').map(({ speedupBy }) => speedupBy))).toEqual(new Set(['measured']));
    expect(Math.min(...of('int8', 'layer').map(({ speedup }) => speedup ?? 0))).toBeGreaterThan(0);
    const [int8, pruned] = ['int8', 'prune 50 %'].map((choice) =>
      Math.max(...of(choice, 'layer').map((e) => e.divergence)),
    );
    expect(pruned).toBeGreaterThan(int8);
    const fractions = context.reported.map(({ fraction }) => fraction);
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
    expect(context.reported.at(-1)?.etaSeconds).toBeGreaterThanOrEqual(0);
    expect(sections.filter(({ kind }) => kind === 'heatmap')).toHaveLength(3);
  });

  it('goes on where an earlier attempt stopped', async () => {
    const abort = new AbortController();
    const settings = config({ ...QUICK, choices: [{ type: 'prune' }], cells: false });
    const context = testContext({ model, datasets: { data }, signal: abort.signal });
    const stopping = { ...context, progress: () => abort.abort() };
    await expect(sensitivityStage.run(settings, stopping)).rejects.toMatchObject({ kind: 'cancelled' });
    const first = testContext({ model, datasets: { data } });
    await sensitivityStage.run(settings, first);
    const effects = JSON.parse(readFileSync(join(first.checkpoints, 'effects.json'), 'utf8')) as object;
    expect(Object.keys(effects)).toHaveLength(8);
    const again = await sensitivityStage.run(settings, {
      ...testContext({ model, datasets: { data } }),
      checkpoints: first.checkpoints,
    });
    const once = await sensitivityStage.run(settings, testContext({ model, datasets: { data } }));
    expect(again.measurements).toEqual(once.measurements);
  });

  it('refuses at submit what cannot work', async () => {
    const preview = { model: await readManifest(model), datasets: { data: await readDatasetInfo(data) } };
    const problems = (given: object, more: object = {}) =>
      sensitivityStage.check?.(config(given), { ...preview, ...more }).map(({ path, code }) => [path, code]);
    expect(problems({})).toEqual([]);
    expect(problems({ choices: [{ type: 'int8' }, { type: 'int8' }] })).toEqual([['choices[1]', 'repeated']]);
    expect(problems({ metric: 'perplexity' })).toEqual([['metric', 'unknown-metric']]);
    expect(problems({ latency: { sequence: 64 } })).toEqual([['latency.sequence', 'too-long']]);
    expect(problems({}, { model: { ...preview.model, task: 'causal-lm' } })).toEqual([['', 'unsupported']]);
    const trainOnly = await readDatasetInfo(datasetFolder({ train: tinyExamples(10) }));
    expect(problems({}, { datasets: { data: trainOnly } })).toEqual([['split', 'no-such-split']]);
    expect(() => config({ choices: [{ type: 'weights', bits: 5 }] })).toThrow('bits');
  });
});
