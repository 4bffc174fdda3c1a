import { join } from 'node:path';
import { bf16Obstacle } from '../runtime';
import { measurementSchema, reportSectionSchema } from '../report/measurement';
import { readManifest } from '../bundle/bundle';
import { benchmarkStage } from './benchmark';
import { quantizeStage } from './quantize';
import { datasetFolder, testContext, tinyBundle, tinyExamples } from './testing';

const config = (given: object = {}) => benchmarkStage.schema.parse(given);

describe('benchmark stage', () => {
  let baseline: string;
  let model: string;
  beforeAll(async () => {
    baseline = await tinyBundle();
    const context = testContext({ model: baseline });
    await quantizeStage.run(quantizeStage.schema.parse({ form: 'matmul-integer' }), context);
    model = join(context.output, 'model');
  });

  it('measures both models at every shape, from tokens and from texts, with memory and size', async () => {
    const data = datasetFolder({ train: tinyExamples(5), test: tinyExamples(40) });
    const context = testContext({ model, baseline, datasets: { data } });
    const settings = config({ batches: [1, 4], sequences: [8, 16], seconds: 0.1, minRounds: 5 });
    const { measurements, sections } = await benchmarkStage.run(settings, context);
    for (const measurement of measurements) expect(measurementSchema.parse(measurement)).toEqual(measurement);
    for (const section of sections) expect(reportSectionSchema.parse(section)).toEqual(section);
    const of = (metric: string, subject: string) =>
      measurements.filter((m) => m.metric === metric && m.subject === subject);
    for (const subject of ['baseline', 'candidate']) {
      expect(of('latency.p50', subject).map(({ context }) => context)).toEqual([
        { batch: 1, sequence: 8, threads: 1 },
        { batch: 1, sequence: 16, threads: 1 },
        { batch: 4, sequence: 8, threads: 1 },
        { batch: 4, sequence: 16, threads: 1 },
      ]);
      expect(of('latency.endToEnd.p50', subject).map(({ context }) => context)).toEqual([
        { batch: 1, threads: 1 },
        { batch: 4, threads: 1 },
      ]);
      const [p50, p95, p99] = ['p50', 'p95', 'p99'].map((p) => of(`latency.${p}`, subject)[0].value);
      expect(p50).toBeGreaterThan(0);
      expect(p95).toBeGreaterThanOrEqual(p50);
      expect(p99).toBeGreaterThanOrEqual(p95);
      // A Node process with ONNX Runtime loaded needs tens of megabytes, a tiny model not much more.
      expect(of('memory.peak', subject)[0].value).toBeGreaterThan(30e6);
      expect(of('memory.peak', subject)[0].value).toBeLessThan(600e6);
    }
    const [energy, carbon] = ['energy', 'carbon'].map((metric) => of(metric, 'candidate')[0]);
    expect(energy).toMatchObject({ unit: 'J', context: { batch: 1, sequence: 8, threads: 1 } });
    expect(carbon.value).toBeCloseTo((energy.value / 3.6e6) * 480);
    expect(of('energy', 'baseline')[0].value).toBeGreaterThan(0);
    expect(of('flops', 'candidate')[0].value / of('flops', 'baseline')[0].value).toBeCloseTo(1, 1);
    expect(of('bytes.model', 'candidate')[0].value).toBeLessThan(of('bytes.model', 'baseline')[0].value);
    expect(of('bytes.gzip', 'candidate')[0].value).toBeLessThan(of('bytes.model', 'candidate')[0].value);
    for (const { value, interval, environment } of of('speedup', 'comparison')) {
      expect(interval?.[0]).toBeLessThanOrEqual(value);
      expect(interval?.[1]).toBeGreaterThanOrEqual(value);
      expect(environment).toMatchObject({ threads: 1, device: 'cpu' });
    }
    expect(sections.map(({ title }) => title)).toEqual([
      'Latency',
      'Latency from text to result',
      'Size and memory',
      'Energy and carbon of 1,000 texts',
      'Machine',
    ]);
  });

  it('measures a model alone when there is no other original', async () => {
    const settings = config({
      batches: [1],
      sequences: [8],
      threads: [1, 2],
      seconds: 0.1,
      memory: false,
      compressed: false,
    });
    const { measurements } = await benchmarkStage.run(settings, testContext({ model, baseline: model }));
    expect(new Set(measurements.map(({ subject }) => subject))).toEqual(new Set(['candidate']));
    expect(measurements.filter(({ metric }) => metric === 'latency.p50').map(({ context }) => context.threads)).toEqual(
      [1, 2],
    );
    expect(measurements.some(({ metric }) => metric === 'memory.peak' || metric === 'bytes.gzip')).toBe(false);
  });

  it('in bf16 compares a model with itself in fp32, or says why it cannot', async () => {
    const settings = config({ batches: [8], sequences: [16], seconds: 0.1, minRounds: 3, precision: 'bf16' });
    const result = await benchmarkStage.run(settings, testContext({ model: baseline, baseline }));
    const size = result.sections.find(({ title }) => title === 'Size and memory');
    const runtimes = size?.kind === 'table' ? size.rows.map((row) => row[1]) : [];
    const obstacle = bf16Obstacle();
    expect(runtimes).toEqual(obstacle === undefined ? ['native, bf16', 'ONNX Runtime'] : ['ONNX Runtime']);
    expect(result.warnings.some((text) => text.includes('precision bf16 is not possible'))).toBe(
      obstacle !== undefined,
    );
    expect(benchmarkStage.check?.(config({ precision: 'bf16', runtime: 'ort' }), { datasets: {} })).toMatchObject([
      { path: 'precision', code: 'needs-native' },
    ]);
  });

  it('measures as far as the model goes unless it is told how far', async () => {
    const settings = config({ batches: [1], seconds: 0.1, minRounds: 3, warmup: 0, memory: false });
    expect(benchmarkStage.check?.(settings, { model: await readManifest(model), datasets: {} })).toEqual([]);
    const { measurements } = await benchmarkStage.run(settings, testContext({ model }));
    const timed = measurements.filter(({ metric }) => metric === 'latency.p50');
    expect(timed.map(({ context }) => context.sequence)).toEqual([32]); // of 32 and 128
  });

  it('refuses sequences that the model does not take', async () => {
    const settings = config({ sequences: [16, 64] });
    const preview = { model: await readManifest(model), datasets: {} };
    expect(benchmarkStage.check?.(settings, preview)).toEqual([
      { path: 'sequences[1]', code: 'too-long', message: 'The model takes at most 32 tokens.' },
    ]);
    await expect(benchmarkStage.run(settings, testContext({ model }))).rejects.toMatchObject({
      code: 'benchmark.length',
    });
    expect(benchmarkStage.check?.(config({ minRounds: 20, maxRounds: 10, sequences: [8] }), preview)).toMatchObject([
      { code: 'above-maximum' },
    ]);
  });
});
