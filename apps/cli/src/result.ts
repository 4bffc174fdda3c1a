/** @file The end of a job: its report, and the exit code that a pipeline acts on. */
import { createWriteStream, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Client, JobDetail, JobReport } from '@modelpress/client';
import { invalid, renderReportText, reportSchema } from '@modelpress/core';
import type { Command } from 'commander';
import { extract } from 'tar';
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

/** What is kept of a job on this machine. */
export interface Keep {
  /** File for the report as a page. */
  readonly html?: string;
  /** Folder, or .tar file, for the model. */
  readonly output?: string;
}

export const withKeep = (command: Command): Command =>
  command
    .option('--html <file>', 'save the report as one HTML page')
    .option(
      '--output <folder>',
      'save the model that the job made, with its tokenizer, to a new folder (variants of a sweep by number), or as one file if the name ends in .tar',
    );

const isTar = (output: string): boolean => output.endsWith('.tar');

/** @throws `cli.output` for a file, or a folder with files in it: call it before the work starts */
export function requireFree({ output }: Keep): void {
  if (output === undefined || isTar(output) || !existsSync(output)) return;
  const isFile = !statSync(output).isDirectory();
  if (!isFile && readdirSync(output).length === 0) return;
  const what = isFile ? `${output} is a file` : `The folder ${output} is not empty`;
  throw invalid('cli.output', `${what}; name a new folder.`, { field: 'output' });
}

/** Saves what was asked for. @throws `cli.output`, and the API's `job.no-model` where no stage made a model */
export async function keep(client: Client, id: string, { variants }: JobReport, { html, output }: Keep): Promise<void> {
  if (html !== undefined) writeFileSync(html, await client.jobs.reportPage(id));
  if (output === undefined) return;
  if (isTar(output) && variants.length > 1) {
    throw invalid('cli.output', `The job has ${variants.length} variants; give a folder instead of ${output}.`, {
      field: 'output',
    });
  }
  for (const { variant } of variants) {
    // Bytes instead of objects: then its chunks are Buffers, which `extract` wants.
    const body = Readable.from((await client.jobs.archive(id, variant)).body, { objectMode: false });
    if (isTar(output)) {
      await pipeline(body, createWriteStream(output));
    } else {
      const cwd = variants.length === 1 ? output : join(output, String(variant));
      await mkdir(cwd, { recursive: true });
      await pipeline(body, extract({ cwd, strict: true }));
    }
  }
  tell(`Saved the model to ${output}.`);
}

/**
 * Shows how a job ended, keeps what was asked for of one that succeeded, and says the exit code: 0 done, 1 failed or
 * cancelled, 3 done but a goal was missed. `json` is a file for the report, `-` standard output instead of the table.
 */
export async function conclude(
  client: Client,
  job: JobDetail,
  { json, ...kept }: Keep & { readonly json?: string } = {},
): Promise<ExitCode> {
  const report = await client.jobs.report(job.id);
  if (json !== '-') printReport(report);
  if (json !== undefined) saveReport(report, json);
  if (job.state === 'succeeded') {
    await keep(client, job.id, report, kept);
    if (kept.output === undefined && report.variants.some((variant) => variant.report.result !== undefined))
      tell('The same command with --output DIR saves the model; nothing is computed again.');
    return report.goalsReached ? EXIT.done : EXIT.goalMissed;
  }
  for (const line of failureLines(job)) tell(line);
  return EXIT.failed;
}
