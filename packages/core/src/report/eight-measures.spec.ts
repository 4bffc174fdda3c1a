import { buildReport } from './build';
import { eightMeasures, formatSpread, seedSpread } from './eight-measures';
import type { Measurement } from './measurement';
import { REPORT, REPORT_INPUT } from './testing';
import { renderReportText } from './text';

const added = (...measurements: Measurement[]) =>
  buildReport({
    ...REPORT_INPUT,
    stages: REPORT_INPUT.stages.map((stage) =>
      stage.id === 'evaluate' ? { ...stage, measurements: [...stage.measurements, ...measurements] } : stage,
    ),
  });

const one = (metric: string, value: number, subject: Measurement['subject'], context = {}): Measurement => ({
  metric,
  value,
  unit: 'ratio',
  subject,
  context,
});

describe('eightMeasures', () => {
  it('sets the original beside the result, and says what is lacking', () => {
    const rows = eightMeasures(REPORT);
    const row = (name: string) => rows.find(({ measure }) => measure === name);
    expect(row('Inference time')).toMatchObject({ original: '4.31 ms', result: '1.52 ms', change: '−64.7 %' });
    expect(row('Speed-up')?.result).toBe('2.48×');
    expect(row('Model size')).toMatchObject({ original: '44.8 MB', result: '7.4 MB' });
    expect(row('Robustness')).toMatchObject({ result: null, note: expect.stringContaining('evaluate stage') });
    expect(row('Energy')?.note).toContain('benchmark stage');
  });

  it('shows fidelity and robustness of the evaluate stage', () => {
    const report = added(
      one('fidelity.labels', 0.98, 'comparison', { split: 'test' }),
      one('robustness', 0.95, 'baseline', { split: 'test', rows: 300 }),
      one('robustness', 0.91, 'candidate', { split: 'test', rows: 300 }),
    );
    const rows = eightMeasures(report);
    expect(rows.find(({ measure }) => measure === 'Fidelity, labels')).toMatchObject({ result: '98.00 %' });
    expect(rows.find(({ measure }) => measure === 'Robustness')).toMatchObject({
      original: '95.00 %',
      result: '91.00 %',
      change: '−4.00 points',
      note: 'accuracy kept on changed texts; test split, rows 300',
    });
    expect(renderReportText(report)).toMatch(/Robustness +95\.00 % +91\.00 % +−4\.00 points/);
  });

  it('is empty where nothing of a result was measured', () => {
    expect(eightMeasures(buildReport({ ...REPORT_INPUT, stages: [] }))).toEqual([]);
  });
});

describe('seedSpread', () => {
  it('is the sample deviation over reports', () => {
    const reports = [0.94, 0.96, 0.98].map((value) => added(one('mcc', value, 'candidate', { split: 'test' })));
    const spread = seedSpread(reports, 'mcc');
    expect(spread).toMatchObject({ seeds: 3 });
    expect(spread?.mean).toBeCloseTo(0.96);
    expect(spread?.deviation).toBeCloseTo(0.02);
    expect(spread && formatSpread(spread)).toBe('Matthews correlation 96.00 % ± 2.00 points over 3 seeds');
    expect(seedSpread(reports.slice(1, 2), 'mcc')).toBeUndefined();
    expect(seedSpread(reports, 'bleu')).toBeUndefined();
  });
});
