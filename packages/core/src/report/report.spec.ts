import * as fc from 'fast-check';
import { buildReport } from './build';
import { compareModels, findMetric, speedup } from './compare';
import { evaluateGoals } from './goals';
import type { Measurement } from './measurement';
import { reportSchema, type Comparison, type ReportStage } from './report';
import { REPORT, REPORT_INPUT } from './testing';
import { renderReportText } from './text';

const figure = (metric: string, value: number, subject: Measurement['subject'] = 'candidate'): Measurement => ({
  metric,
  value,
  unit: 'ratio',
  subject,
  context: {},
});

const stage = (id: string, more: Partial<ReportStage>): ReportStage => ({
  id,
  type: id,
  makesModel: false,
  state: 'succeeded',
  attempts: 1,
  reused: false,
  config: {},
  measurements: [],
  sections: [],
  warnings: [],
  ...more,
});

describe('buildReport', () => {
  it('is a valid report that survives JSON', () => {
    expect(reportSchema.parse(JSON.parse(JSON.stringify(REPORT)))).toEqual(REPORT);
  });

  it('names the last model made and gathers warnings with their stage', () => {
    expect(REPORT.result).toBe('quantize');
    expect(REPORT.warnings[1]).toBe('benchmark: Another process used 12 % of the machine while measuring.');
  });

  it('has no result and no figures for a job that failed at its first stage', () => {
    const stages = [stage('prune', { makesModel: true, state: 'failed', error: 'out of memory' })];
    const report = buildReport({ ...REPORT_INPUT, stages });
    expect(report.result).toBeUndefined();
    expect(report.comparisons).toEqual([]);
    expect(report.goals.map(({ passed, actual }) => [passed, actual])).toEqual([1, 2, 3].map(() => [false, null]));
    expect(report.goals[0]?.reason).toBe('The job ended before this was measured.');
    expect(renderReportText(report)).toContain('prune failed: out of memory');
  });
});

describe('compareModels', () => {
  it('takes the figures of the result, not those of a model on the way', () => {
    const compared = compareModels([
      stage('prune', { makesModel: true, measurements: [figure('accuracy', 0.7)] }),
      stage('after-prune', {
        from: 'prune',
        measurements: [figure('accuracy', 0.71), figure('accuracy', 0.9, 'baseline')],
      }),
      stage('quantize', { makesModel: true, from: 'prune' }),
      stage('evaluate', { from: 'quantize', measurements: [figure('accuracy', 0.8)] }),
    ]);
    expect(compared).toMatchObject([{ metric: 'accuracy', baseline: 0.9, candidate: 0.8, better: 'higher' }]);
  });

  it('reads a stage that measures the job model as the baseline', () => {
    const compared = compareModels([
      stage('before', { measurements: [figure('accuracy', 0.9)] }),
      stage('prune', { makesModel: true, measurements: [figure('accuracy', 0.8)] }),
    ]);
    expect(compared).toMatchObject([{ baseline: 0.9, candidate: 0.8 }]);
  });

  it('shows a job that only measures its model', () => {
    const compared = compareModels([stage('evaluate', { measurements: [figure('accuracy', 0.9)] })]);
    expect(compared).toMatchObject([{ baseline: null, candidate: 0.9 }]);
  });

  it('pairs only equal conditions, whatever their order', () => {
    const at = (subject: Measurement['subject'], context: Measurement['context']): Measurement => ({
      ...figure('latency.p50', subject === 'baseline' ? 4 : 2, subject),
      context,
    });
    const compared = compareModels([
      stage('quantize', { makesModel: true }),
      stage('benchmark', {
        from: 'quantize',
        measurements: [
          at('baseline', { batch: 1, sequence: 32 }),
          at('candidate', { sequence: 32, batch: 1 }),
          at('candidate', { batch: 8, sequence: 32 }),
        ],
      }),
    ]);
    expect(compared.map(({ baseline }) => baseline)).toEqual([4, null]);
  });
});

const compared = (metric: string, baseline: number | null, candidate: number, context = {}): Comparison => ({
  metric,
  unit: 'ratio',
  context,
  baseline,
  candidate,
  better: 'higher',
});

describe('speedup and findMetric', () => {
  it('is the geometric mean', () => {
    const fast = speedup([compared('latency.p50', 4, 1), compared('latency.p50', 1, 1), compared('latency.p95', 9, 1)]);
    expect(fast).toEqual({ mean: expect.closeTo(2, 12), min: 1, max: 4, points: 2 });
    expect(speedup([compared('latency.p50', null, 1)])).toBeUndefined();
  });

  it('lies between the slowest and the fastest condition', () => {
    const ms = fc.double({ min: 0.01, max: 1e4, noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.tuple(ms, ms), { minLength: 1 }), (pairs) => {
        const fast = speedup(pairs.map(([was, now]) => compared('latency.p50', was, now)));
        expect(fast?.mean).toBeGreaterThanOrEqual((fast?.min ?? NaN) * (1 - 1e-9));
        expect(fast?.mean).toBeLessThanOrEqual((fast?.max ?? NaN) * (1 + 1e-9));
      }),
    );
  });

  it('prefers the test split', () => {
    const found = findMetric(
      [compared('accuracy', 1, 0.5, { split: 'dev' }), compared('accuracy', 1, 0.6, { split: 'test' })],
      'accuracy',
    );
    expect(found?.candidate).toBe(0.6);
  });
});

describe('evaluateGoals', () => {
  const figures = [
    compared('accuracy', 0.9, 0.88),
    compared('bytes.model', 400, 100),
    compared('latency.p50', 30, 10, { batch: 1, sequence: 32 }),
  ];

  it('judges each goal with its margin', () => {
    const goals = {
      maxDrop: { metric: 'accuracy', absolute: 0.01, relative: 0.05 },
      minSpeedup: 2.5,
      maxBytes: 100,
      maxLatencyMs: { value: 9, batch: 1, sequence: 32 },
    };
    expect(
      evaluateGoals(goals, figures).map(({ goal, passed, margin }) => [goal, passed, Number(margin?.toFixed(4))]),
    ).toEqual([
      ['maxDrop', false, -0.01],
      ['maxDrop', true, 0.0278],
      ['minSpeedup', true, 0.5],
      ['maxBytes', true, 0],
      ['maxLatencyMs', false, -1],
    ]);
  });

  it('does not miss a goal by the rounding of a difference', () => {
    const goals = { maxDrop: { metric: 'accuracy', absolute: 0.01 } };
    expect(evaluateGoals(goals, [compared('accuracy', 0.96, 0.95)])).toMatchObject([{ passed: true }]);
  });

  it('counts a rise of a metric where lower is better as a drop', () => {
    const [goal] = evaluateGoals({ maxDrop: { metric: 'perplexity', relative: 0.1 } }, [
      compared('perplexity', 10, 12),
    ]);
    expect(goal).toMatchObject({ passed: false, actual: 0.2 });
  });

  it('says why a goal is missed: where the figure comes from, and how certain it is', () => {
    const difference: Measurement = {
      metric: 'accuracy.difference',
      value: -0.02,
      unit: 'points',
      subject: 'comparison',
      context: {},
      interval: [-0.035, -0.004],
    };
    const goals = { maxDrop: { metric: 'accuracy', absolute: 0.01 }, minSpeedup: 4, maxBytes: 99 };
    expect(evaluateGoals(goals, figures, [difference]).map(({ reason }) => reason)).toEqual([
      'Accuracy went from 90.00 % to 88.00 %. With 95 % confidence the change lies between −3.50 points and −0.40 points.',
      'It is 3.00× to 3.00× as fast as the original at the measured shapes.',
      'The original has 400 B.',
    ]);
  });

  it('asks for the latency at every measured thread count', () => {
    const at = (threads: number, candidate: number) =>
      compared('latency.p50', 30, candidate, { batch: 1, sequence: 32, threads });
    const goals = { maxLatencyMs: { value: 9, batch: 1, sequence: 32 } };
    expect(evaluateGoals(goals, [at(1, 10), at(2, 6)])).toMatchObject([{ passed: false, actual: 10 }]);
    expect(evaluateGoals(goals, [at(1, 8), at(2, 6)])).toMatchObject([{ passed: true, actual: 8 }]);
  });

  it('misses what was not measured and says which stage is lacking', () => {
    const goals = { maxDrop: { metric: 'mcc', absolute: 0.1 }, maxLatencyMs: { value: 9, batch: 4, sequence: 32 } };
    const results = evaluateGoals(goals, figures);
    expect(results.every(({ passed, actual }) => !passed && actual === null)).toBe(true);
    expect(results[0]?.reason).toContain('add an evaluate stage');
    expect(results[1]?.reason).toContain('batch 4, sequence 32');
  });
});
