import * as fc from 'fast-check';
import { buildReport } from '../build';
import type { ReportSection } from '../measurement';
import type { Report } from '../report';
import { REPORT, REPORT_INPUT } from '../testing';
import { thin } from './curve';
import { escapeHtml, html } from './markup';
import { renderReport } from './page';
import { renderReports } from './sweep';
import { linearScale, niceTicks, tightScale } from './scale';

const withSection = (section: ReportSection): string => {
  const [first, ...rest] = REPORT_INPUT.stages;
  if (first === undefined) throw new Error('the example has stages');
  return renderReport(buildReport({ ...REPORT_INPUT, stages: [{ ...first, sections: [section] }, ...rest] }));
};

/** Elements that are opened and not closed, or the other way round. */
function unbalanced(page: string): string[] {
  const open: string[] = [];
  const wrong: string[] = [];
  for (const [, slash, name = '', rest = ''] of page.matchAll(/<(\/?)([a-z][a-z0-9]*)\b([^>]*)>/gi)) {
    if (rest.endsWith('/') || /^(meta|line|circle|path)$/.test(name)) continue;
    if (slash === '') open.push(name);
    else if (open.pop() !== name) wrong.push(name);
  }
  return [...open, ...wrong];
}

describe('renderReport', () => {
  const page = renderReport(REPORT);

  it('refers to nothing outside and runs nothing', () => {
    expect(page).not.toMatch(/(src|href)=["'](?!#)|url\(|@import|<script|\son\w+=/i);
  });

  it('opens and closes every element', () => {
    expect(unbalanced(page)).toEqual([]);
  });

  it('says the figures, goals, warnings and the machine', () => {
    for (const text of [
      '6.05×',
      '2.48×',
      '92.62 %',
      'All 3 goals are met.',
      '✓ met',
      'AMD EPYC 9B14',
      'avx512_vnni',
      'support-intents',
    ])
      expect(page).toContain(text);
    expect(page).toContain('&lt;W_Q at 100 %&gt;');
  });

  it('says plainly that a goal is missed and that a job failed', () => {
    const missed = buildReport({
      ...REPORT_INPUT,
      recipe: { ...REPORT_INPUT.recipe, goals: { minSpeedup: 3, maxBytes: 1e9 } },
    });
    expect(renderReport(missed)).toContain('1 of 2 goals are missed.');
    const failed = buildReport({ ...REPORT_INPUT, job: { ...REPORT_INPUT.job, state: 'failed' } });
    expect(renderReport(failed)).toContain('This job is failed');
  });

  it('escapes whatever a stage or a user wrote', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const name = `<img src=x onerror=alert(1)>${text}"'`;
        const page = withSection({ kind: 'table', title: name, columns: [name], rows: [[name]] });
        expect(page).not.toContain('<img');
      }),
      { numRuns: 20 },
    );
    expect(html`<a title="${`"><script>`}">${[html`<b>`, '<i>']}</a>`.text).toBe(
      '<a title="&quot;&gt;&lt;script&gt;"><b>&lt;i&gt;</a>',
    );
    expect(escapeHtml(`&<>"'`)).toBe('&amp;&lt;&gt;&quot;&#39;');
  });

  it('draws curves of no, one, equal and very many points', () => {
    const curve = (points: [number, number][]): string =>
      withSection({ kind: 'curve', title: 'c', x: 'step', y: 'loss', series: [{ name: 's', points }], marks: [] });
    expect(curve([])).toContain('No points were recorded.');
    for (const points of [
      [[3, 5]],
      [
        [1, 2],
        [2, 2],
      ],
      Array.from({ length: 50_000 }, (_, i) => [i, Math.sin(i)]),
    ] as [number, number][][]) {
      const page = curve(points);
      expect(page).toMatch(/<path class="line s0"\s+d="M[\d. L-]+"/);
      expect(page).not.toMatch(/NaN|Infinity/);
      expect(page.length).toBeLessThan(120_000);
    }
  });

  it('shows a heat map without values', () => {
    const page = withSection({
      kind: 'heatmap',
      title: 'h',
      rows: ['a'],
      columns: ['b'],
      values: [[null]],
      unit: 'ms',
    });
    expect(page).not.toMatch(/NaN|Infinity/);
  });
});

describe('renderReports', () => {
  /** The example with another size and accuracy. */
  const variant = (target: number, shrink: number, drop: number) => {
    const stages = REPORT_INPUT.stages.map((stage) => ({
      ...stage,
      measurements: stage.measurements.map((one) => {
        if (one.subject !== 'candidate') return one;
        if (one.metric === 'bytes.model') return { ...one, value: one.value * shrink };
        return one.metric === 'accuracy' ? { ...one, value: one.value - drop } : one;
      }),
    }));
    return { values: { 'prune.config.target': target }, report: buildReport({ ...REPORT_INPUT, stages }) };
  };
  // The third is both larger and worse than the second.
  const variants = [variant(0.2, 1, 0), variant(0.6, 0.5, 0.01), variant(0.8, 0.7, 0.1)];
  const page = renderReports(variants);

  it('is the plain report for a single variant', () => {
    const report = variants[0]?.report ?? REPORT;
    expect(renderReports([{ values: {}, report }])).toBe(renderReport(report));
  });

  it('tells the spread over seeds of variants that are otherwise the same', () => {
    const seeds = [0, 0.02].flatMap((drop, seed) =>
      [0.2, 0.6].map((target) => {
        const { values, report } = variant(target, 1, drop);
        return { values: { ...values, seed }, report };
      }),
    );
    const text = renderReports(seeds);
    expect(text.match(/Accuracy 91\.62 % ± 1\.41 points over 2 seeds/g)).toHaveLength(2);
    expect(page).not.toContain('Over seeds');
  });

  it('sets the variants against each other and marks those that none beats', () => {
    expect(page).toContain('A sweep of 3 variants; every goal is met by 1.');
    expect(page).toContain('Accuracy against size on disk');
    const starred = [...page.matchAll(/<a href="#variant-(\d)">prune target ([\d.]+)<\/a>( ★)?/g)];
    expect(starred.map(([, index, target, star]) => [index, target, star !== undefined])).toEqual([
      ['0', '0.2', true],
      ['1', '0.6', true],
      ['2', '0.8', false],
    ]);
  });

  it('plots the figures against a swept number', () => {
    expect(page).toContain('By swept value');
    expect(page).toContain('<figcaption>Accuracy by prune target</figcaption>');
    const few = renderReports(variants.slice(0, 2));
    expect(few).not.toContain('By swept value');
  });

  it('lays the curves of variants over each other, but not those of a stage that they share', () => {
    const slower = (report: Report, factor: number): Report => ({
      ...report,
      stages: report.stages.map((stage) => ({
        ...stage,
        sections: stage.sections.map((section) =>
          section.kind === 'curve'
            ? {
                ...section,
                series: section.series.map(({ name, points }) => ({
                  name,
                  points: points.map(([x, y]): [number, number] => [x, y * factor]),
                })),
              }
            : section,
        ),
      })),
    });
    const different = renderReports(
      variants.map(({ values, report }, i) => ({ values, report: slower(report, 1 + i) })),
    );
    const together = different.slice(
      different.indexOf('Curves together'),
      different.indexOf('<details class="variant"'),
    );
    for (const target of [0.2, 0.6, 0.8]) expect(together).toContain(`></i>prune target ${target}</span>`);
    expect(unbalanced(different)).toEqual([]);
    expect(page).not.toContain('Curves together');
  });

  it('is whole: balanced, without repeated anchors, without wrong numbers', () => {
    expect(unbalanced(page)).toEqual([]);
    const anchors = [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    expect(new Set(anchors).size).toBe(anchors.length);
    const targets = [...page.matchAll(/href="#([^"]*)"/g)].map(([, id]) => id);
    expect(targets.filter((id) => !anchors.includes(id))).toEqual([]);
    expect(page).not.toMatch(/NaN|Infinity/);
  });
});

describe('scales', () => {
  const value = fc.double({ min: -1e9, max: 1e9, noNaN: true });

  it('covers the data with round, even, rising ticks', () => {
    expect(niceTicks(0, 0.93, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(niceTicks(0.805, 0.96, 5)).toEqual([0.8, 0.85, 0.9, 0.95, 1]);
    fc.assert(
      fc.property(value, value, fc.integer({ min: 2, max: 10 }), (a, b, count) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        const ticks = niceTicks(low, high, count);
        const slack = 1e-6 * Math.max(1, Math.abs(low), Math.abs(high));
        expect(ticks[0]).toBeLessThanOrEqual(low + slack);
        expect(ticks.at(-1)).toBeGreaterThanOrEqual(high - slack);
        expect(ticks.length).toBeLessThanOrEqual(count + 3);
        expect(ticks.slice(1).every((tick, i) => tick > (ticks[i] ?? Infinity))).toBe(true);
      }),
    );
  });

  it('puts the ends at the ends', () => {
    const y = linearScale(0, 10, 100, 0, 5);
    expect([y.at(0), y.at(10)]).toEqual([100, 0]);
    const x = tightScale(3, 17, 50, 250, 5);
    expect([x.at(3), x.at(17)]).toEqual([50, 250]);
    expect(x.ticks).toEqual([5, 10, 15]);
  });

  it('thins curves but keeps their extremes', () => {
    const points = fc.array(fc.tuple(fc.nat(), value), { minLength: 1, maxLength: 500 });
    fc.assert(
      fc.property(points, fc.integer({ min: 4, max: 60 }), (all, limit) => {
        const kept = thin(all, limit);
        expect(kept.length).toBeLessThanOrEqual(limit + 1);
        const ys = (list: readonly (readonly [number, number])[]): number[] => list.map(([, y]) => y);
        expect(Math.max(...ys(kept))).toBe(Math.max(...ys(all)));
        expect(Math.min(...ys(kept))).toBe(Math.min(...ys(all)));
      }),
    );
  });
});
