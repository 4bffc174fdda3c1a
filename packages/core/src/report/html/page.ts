import type { Report } from '../report';
import { environmentSection, figureTable, inputSection, latencySection, pipeline, stageList } from './details';
import { html, type Markup } from './markup';
import { styleSheet } from './style';
import { goalTable, headline, measureTable, verdict, warningBox } from './summary';

const day = (time: string): string => `${time.slice(0, 10)} ${time.slice(11, 16)} UTC`;

/** A page around `top` (in the header) and `body` that needs no other file, no script and no network. */
export function page({ name, id, createdAt, finishedAt }: Report['job'], top: Markup, body: Markup): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${name} · modelpress report</title>
        <style>
          ${styleSheet}
        </style>
      </head>
      <body>
        <header>
          <p class="brand">modelpress report</p>
          <h1>${name}</h1>
          <p class="quiet">
            ${finishedAt === undefined ? `Submitted ${day(createdAt)}` : `Finished ${day(finishedAt)}`} · job ${id}
          </p>
          ${top}
        </header>
        <main>${body}</main>
        <footer>
          Every figure on this page was measured by this job on the hardware named above, unless it is called an
          estimate.
        </footer>
      </body>
    </html> `.text;
}

/** What the report of one variant says, from the figures that matter to the single stages. */
export const reportBody = (report: Report, scope = ''): Markup => html`
  ${headline(report)} ${warningBox(report.warnings)} ${goalTable(report.goals)} ${measureTable(report)}
  ${latencySection(report)} ${stageList(report, scope)} ${figureTable(report)} ${environmentSection(report)}
  ${inputSection(report)}
`;

/** A report as one HTML page. */
export const renderReport = (report: Report): string =>
  page(report.job, html`${pipeline(report)} ${verdict(report)}`, reportBody(report));
