import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Client, JobDetail } from '@modelpress/client';
import { ModelpressError, parseRecipe } from '@modelpress/core';
import { writeSupportBot } from '@modelpress/examples';
import type { Command } from 'commander';
import { homeOf } from '../connection';
import type { CliEnvironment } from '../environment';
import type { ExitCode } from '../exit-codes';
import { failureLines } from '../follow';
import { untilInterrupted } from '../interrupt';
import { tell } from '../output';
import { conclude } from '../result';
import { giveDataset } from '../upload';
import { onOwnStack, runJob } from './run';

const RECIPES = join(__dirname, '..', '..', '..', '..', 'recipes');

export function addDemo(program: Command, environment: CliEnvironment, end: (code: ExitCode) => void): void {
  program
    .command('demo')
    .summary('compress an example model and print the report')
    .description(
      'Writes an example data set (messages to a support bot), starts the embedded stack, trains a small model,\nquantizes it, measures both and prints the report. Takes about two minutes on two cores; needs no network.',
    )
    .option('--home <folder>', 'folder of the embedded stack (default: MODELPRESS_HOME, else .modelpress)')
    .action(async (flags: { home?: string }) => {
      const home = homeOf(flags, environment);
      const work = (signal: AbortSignal) => (client: Client) => demo(client, home, signal);
      end(await untilInterrupted((signal) => onOwnStack(home, environment, signal, work(signal))));
    });
}

async function demo(client: Client, home: string, signal: AbortSignal): Promise<ExitCode> {
  const folder = join(home, 'demo');
  mkdirSync(folder, { recursive: true });
  const data = writeSupportBot(join(folder, 'support-bot'));
  const dataset = await giveDataset(data, { client, home, hubToken: undefined, signal });
  const datasets = { data: dataset.id };

  tell('Training the example model.');
  const trained = await runJob(client, { recipe: recipe('support-bot-model'), datasets }, signal);
  const model = await client.models.fromRun({ name: 'support-bot', runId: finishedRun(trained) });

  tell('Quantizing it and measuring both.');
  const job = await runJob(client, { recipe: recipe('quantize'), modelId: model.id, datasets }, signal);
  const html = join(folder, 'report.html');
  const output = join(folder, 'model');
  rmSync(output, { recursive: true, force: true });
  const code = await conclude(client, job, { html, output });
  console.log(`The model          ${join(output, 'model.onnx')}`);
  console.log(`Report as a page   ${html}`);
  console.log(`The same by API    modelpress up, then http://127.0.0.1:7077/v1/jobs/${job.id}/report.html`);
  return code;
}

type Submission = Parameters<Client['jobs']['submit']>[0];

const recipe = (name: string): Submission['recipe'] =>
  parseRecipe(readFileSync(join(RECIPES, `${name}.yaml`), 'utf8')) as Submission['recipe'];

/** The stage run that made the model. @throws `demo.failed` with the reason if it did not */
function finishedRun(job: JobDetail): string {
  const stage = job.stages.find(({ type }) => type === 'finetune');
  if (job.state === 'succeeded' && stage) return stage.runId;
  const reasons = failureLines(job).join(' ');
  throw new ModelpressError(
    'internal',
    'demo.failed',
    `The example model could not be trained (${job.state}). ${reasons}`,
  );
}
