/** @file The curves of a sweep's variants laid over each other: how settings change the way, not only the end. */
import type { ReportSection } from '../measurement';
import type { Report } from '../report';
import { html, type Markup } from './markup';
import { sectionBlock } from './section';

type Curve = Extract<ReportSection, { kind: 'curve' }>;
type Series = Curve['series'][number];

/** More lines than this cannot be told apart. */
const MAX_LINES = 12;

/**
 * One plot for each curve that several variants have of the same stage, a line for each variant. A stage run that
 * variants share is no difference between them: its curves stay with the variants.
 */
export function curvesTogether(variants: readonly { readonly name: string; readonly report: Report }[]): Markup {
  const plots = new Map<string, Curve>();
  for (const { name, report } of variants) {
    for (const stage of report.stages) {
      for (const section of stage.sections) if (section.kind === 'curve') addLines(plots, stage.id, section, name);
    }
  }
  const shown = [...plots.values()].filter(({ series }) => series.length > 1 && series.length <= MAX_LINES);
  if (shown.length === 0) return html``;
  return html`<section>
    <h2>Curves together</h2>
    ${shown.map(sectionBlock)}
  </section>`;
}

function addLines(plots: Map<string, Curve>, stage: string, { title, x, y, series }: Curve, variant: string): void {
  for (const { name, points } of series) {
    const heading = series.length === 1 ? `${stage}: ${title}` : `${stage}: ${title}, ${name}`;
    const plot = plots.get(heading) ?? { kind: 'curve', title: heading, x, y, series: [], marks: [] };
    if (points.length === 0 || plot.series.some((line) => isSame(line.points, points))) continue;
    plots.set(heading, { ...plot, series: [...plot.series, { name: variant, points }] });
  }
}

const isSame = (a: Series['points'], b: Series['points']): boolean =>
  a.length === b.length && a.every(([x, y], i) => x === b[i]?.[0] && y === b[i]?.[1]);
