/** @file Quality and speed of a sweep's variants against each swept number: lines for the other values, means over seeds. */
import { findMetric, speedup } from '../compare';
import { metricName } from '../format';
import type { ReportSection } from '../measurement';
import type { Report } from '../report';
import { html, type Markup } from './markup';
import { sectionBlock } from './section';
import { QUALITY } from './summary';
import { isSeed, shortPath, variantName } from './variant-name';

type Curve = Extract<ReportSection, { kind: 'curve' }>;

/** Fewer values than this make no curve. */
const MIN_VALUES = 3;

interface Variant {
  readonly values: Readonly<Record<string, unknown>>;
  readonly report: Report;
}

/** One plot for each swept number and each figure that the variants have: quality, and speed against the original. */
export function valuePlots(variants: readonly Variant[]): Markup {
  const figures: readonly [label: string, of: (report: Report) => number | undefined][] = [
    ...QUALITY.map((metric): (typeof figures)[number] => [
      metricName(metric),
      ({ comparisons }) => findMetric(comparisons, metric)?.candidate,
    ]),
    ['Speed against the original', ({ comparisons }) => speedup(comparisons)?.mean],
  ];
  const plots = sweptNumbers(variants).flatMap((path) =>
    figures.flatMap(([label, of]) => plotOf(variants, path, label, of) ?? []),
  );
  if (plots.length === 0) return html``;
  return html`<section>
    <h2>By swept value</h2>
    ${plots.map(sectionBlock)}
  </section>`;
}

/** Paths of the sweep that hold several numbers, seeds left out. */
function sweptNumbers(variants: readonly Variant[]): string[] {
  const paths = new Set(variants.flatMap(({ values }) => Object.keys(values)));
  return [...paths].filter((path) => {
    const values = variants.map((variant) => variant.values[path]);
    return !isSeed(path) && values.every(Number.isFinite) && new Set(values).size >= MIN_VALUES;
  });
}

function plotOf(
  variants: readonly Variant[],
  path: string,
  label: string,
  figureOf: (report: Report) => number | undefined,
): Curve | undefined {
  const lines = new Map<string, Map<number, number[]>>();
  for (const { values, report } of variants) {
    const figure = figureOf(report);
    if (figure === undefined) continue;
    const line = variantName(Object.entries(values).filter(([other]) => other !== path && !isSeed(other)));
    const points = lines.get(line) ?? new Map<number, number[]>();
    lines.set(line, points);
    const x = values[path] as number;
    points.set(x, [...(points.get(x) ?? []), figure]);
  }
  if (lines.size === 0) return undefined;
  const x = shortPath(path);
  const series = [...lines].map(([name, points]) => ({
    name: name || label,
    points: [...points]
      .map(([value, figures]): [number, number] => [value, figures.reduce((a, b) => a + b) / figures.length])
      .sort(([a], [b]) => a - b),
  }));
  return { kind: 'curve', title: `${label} by ${x}`, x, y: label, series, marks: [] };
}
