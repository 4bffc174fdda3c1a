/** @file The report of a sweep: all variants against each other, then each by itself. */
import { betterOf, findMetric, isPair, speedup } from '../compare';
import { formatBytes, formatValue, metricName } from '../format';
import { formatSpread, seedSpread } from '../eight-measures';
import type { Comparison, Report } from '../report';
import { html, type Markup } from './markup';
import { page, renderReport, reportBody } from './page';
import { scatterPlot, type ScatterPoint } from './scatter';
import { QUALITY } from './summary';
import { curvesTogether } from './sweep-curves';
import { valuePlots } from './sweep-values';
import { table } from './table';
import { isSeed, variantName } from './variant-name';

/** One combination of a sweep's values, and what it came to. */
export interface VariantReport {
  readonly values: Readonly<Record<string, unknown>>;
  readonly report: Report;
}

interface Row {
  readonly name: string;
  readonly report: Report;
  readonly size: Comparison | undefined;
  readonly quality: Comparison | undefined;
}

/** A job's report as one HTML page: of the one report, or of all variants of a sweep. */
export function renderReports(variants: readonly VariantReport[]): string {
  const [first, ...others] = variants;
  if (first === undefined) return '';
  if (others.length === 0) return renderReport(first.report);
  const rows = rowsOf(variants);
  const missed = rows.filter(({ report }) => report.goals.some((goal) => !goal.passed)).length;
  const goals = first.report.recipe.goals === undefined ? '' : `; every goal is met by ${rows.length - missed}`;
  return page(
    first.report.job,
    html`<p class="quiet">A sweep of ${rows.length} variants${goals}.</p>`,
    html`${overview(rows)} ${figures(rows)} ${seedTable(variants)} ${valuePlots(variants)} ${curvesTogether(rows)}
    ${rows.map(variantBlock)}`,
  );
}

/** Mean and deviation over seeds of variants that are otherwise the same. */
function seedTable(variants: readonly VariantReport[]): Markup {
  const groups = new Map<string, Report[]>();
  for (const { values, report } of variants) {
    const name = variantName(Object.entries(values).filter(([path]) => !isSeed(path)));
    groups.set(name, [...(groups.get(name) ?? []), report]);
  }
  const metrics = [...QUALITY, 'robustness'];
  const rows = [...groups].flatMap(([name, reports]) => {
    const spreads = metrics.flatMap((metric) => seedSpread(reports, metric) ?? []);
    return spreads.length === 0 ? [] : [[name || 'the recipe', spreads.map(formatSpread).join('; ')]];
  });
  const hasSeeds = variants.some(({ values }) => Object.keys(values).some(isSeed));
  if (!hasSeeds || rows.length === 0) return html``;
  return html`<section>
    <h2>Over seeds</h2>
    ${table(['Variant', 'Mean ± standard deviation'], rows)}
  </section>`;
}

function rowsOf(variants: readonly VariantReport[]): Row[] {
  const metric = QUALITY.find((name) => variants.some(({ report }) => findMetric(report.comparisons, name)));
  return variants.map(({ values, report }) => ({
    name: variantName(Object.entries(values)),
    report,
    size: findMetric(report.comparisons, 'bytes.model'),
    quality: metric === undefined ? undefined : findMetric(report.comparisons, metric),
  }));
}

/** Points that are not beaten in size and quality at once. */
function scatterPoints(rows: readonly Row[]): ScatterPoint[] {
  const points = rows.flatMap(({ name, size, quality }) =>
    size && quality ? [{ name, x: size.candidate, y: quality.candidate }] : [],
  );
  const sign = rows.some(({ quality }) => quality && betterOf(quality.metric) === 'lower') ? -1 : 1;
  const beats = (a: { x: number; y: number }, b: { x: number; y: number }): boolean =>
    a.x <= b.x && sign * a.y >= sign * b.y && (a.x < b.x || a.y !== b.y);
  return points.map((point) => ({ ...point, best: !points.some((other) => beats(other, point)) }));
}

function overview(rows: readonly Row[]): Markup {
  const points = scatterPoints(rows);
  const measured = rows.find(({ size, quality }) => size && quality);
  if (points.length === 0 || !measured?.quality || !measured.size) return html``;
  const { quality, size } = measured;
  const original = isPair(quality) && isPair(size) ? { x: size.baseline, y: quality.baseline } : undefined;
  const yLabel = metricName(quality.metric);
  const title = `${yLabel} against size on disk`;
  return html`<section>
    <h2>${title}</h2>
    ${scatterPlot({ title, xLabel: 'size on disk', yLabel, yUnit: quality.unit, points, original })}
    <p class="quiet">Joined: no other variant is smaller and better at once.</p>
  </section>`;
}

function figures(rows: readonly Row[]): Markup {
  const best = new Set(scatterPoints(rows).flatMap(({ name, best }) => (best ? [name] : [])));
  const quality = rows.find((row) => row.quality)?.quality;
  const cells = rows.map(({ name, report, size, quality }, i) => {
    const fast = speedup(report.comparisons);
    const missed = report.goals.filter((goal) => !goal.passed).length;
    return [
      html`<a href="${`#variant-${i}`}">${name}</a>${best.has(name) ? ' ★' : ''}`,
      quality === undefined ? null : formatValue(quality.candidate, quality.unit),
      size === undefined ? null : formatBytes(size.candidate),
      fast === undefined ? null : formatValue(fast.mean, 'times'),
      report.goals.length === 0 ? report.job.state : missed === 0 ? '✓ met' : `✕ ${missed} missed`,
    ];
  });
  const columns = ['Variant', quality === undefined ? 'Quality' : metricName(quality.metric), 'Size', 'Speed', 'Goals'];
  return html`<section>
    <h2>Variants</h2>
    ${table(columns, cells)}
  </section>`;
}

const variantBlock = ({ name, report }: Row, index: number): Markup =>
  html`<details class="variant" id="${`variant-${index}`}">
    <summary>${name}</summary>
    ${reportBody(report, `v${index}-`)}
  </details>`;
