import type { ReportSection } from '../measurement';
import { curvePlot } from './curve';
import { heatmap } from './heatmap';
import { html, type Markup } from './markup';
import { table } from './table';

function body(section: ReportSection): Markup {
  switch (section.kind) {
    case 'text':
      return html`${section.text.split(/\n{2,}/).map((paragraph) => html`<p class="prose">${paragraph}</p>`)}`;
    case 'table':
      return html`${table(section.columns, section.rows)}${section.note === undefined ? undefined : html`<p class="quiet">${section.note}</p>`}`;
    case 'curve':
      return curvePlot(section);
    case 'heatmap':
      return heatmap(section);
  }
}

/** One part of a stage's report. */
export const sectionBlock = (section: ReportSection): Markup =>
  html`<figure>
    <figcaption>${section.title}</figcaption>
    ${body(section)}
  </figure>`;
