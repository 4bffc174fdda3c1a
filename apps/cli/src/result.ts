/** @file The end of a job: its report, and the exit code that a pipeline acts on. */
import { writeFileSync } from 'node:fs';
import type { Client, JobDetail, JobReport } from '@modelpress/client';
import { renderReportText, reportSchema } from '@modelpress/core';
import { EXIT } from './exit-codes';
import type { ExitCode } from './exit-codes';
import { failureLines } from './follow';
import { printJson, tell } from './output';

/** Prints every variant's report. */
export function printReport({ variants }: JobReport): void {
  for (const { values, report } of variants) {
    const settings = Object.entries(values).map(([path, value]) => `${path} = ${JSON.stringify(value)}`);
    if (settings.length > 0) console.log(settings.join(', '));
    console.log(renderReportText(reportSchema.parse(report)));
  }
}

/** Writes the report as JSON to a file, or to standard output for `-`. */
export function saveReport(report: JobReport, file: string): void {
  if (file === '-') printJson(report);
  else writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
}

/**
 * Shows how a job ended and says the exit code: 0 done, 1 failed or cancelled, 3 done but a goal was missed.
 * @param json file for the report, `-` for standard output instead of the table
 */
export async function conclude(client: Client, job: JobDetail, json?: string): Promise<ExitCode> {
  const report = await client.jobs.report(job.id);
  if (json !== '-') printReport(report);
  if (json !== undefined) saveReport(report, json);
  if (job.state === 'succeeded') return report.goalsReached ? EXIT.done : EXIT.goalMissed;
  for (const line of failureLines(job)) tell(line);
  return EXIT.failed;
}
