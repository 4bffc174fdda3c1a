import type { Report } from '../report';
import { environmentSection, figureTable, inputSection, latencySection, pipeline, stageList } from './details';
import { html } from './markup';
import { styleSheet } from './style';
import { goalTable, headline, verdict, warningBox } from './summary';

const day = (time: string): string => `${time.slice(0, 10)} ${time.slice(11, 16)} UTC`;

/** A report as one HTML page that needs no other file, no script and no network. */
export function renderReport(report: Report): string {
  const { job, warnings, goals } = report;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${job.name} · modelpress report</title>
        <style>
          ${styleSheet}
        </style>
      </head>
      <body>
        <header>
          <p class="brand">modelpress report</p>
          <h1>${job.name}</h1>
          <p class="quiet">
            ${job.finishedAt === undefined ? `Submitted ${day(job.createdAt)}` : `Finished ${day(job.finishedAt)}`} ·
            job ${job.id}
          </p>
          ${pipeline(report)} ${verdict(report)}
        </header>
        <main>
          ${headline(report)} ${warningBox(warnings)} ${goalTable(goals)} ${latencySection(report)} ${stageList(report)}
          ${figureTable(report)} ${environmentSection(report)} ${inputSection(report)}
        </main>
        <footer>Every figure on this page was measured by this job on the hardware named above.</footer>
      </body>
    </html> `.text;
}
