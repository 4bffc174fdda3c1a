import { readFileSync } from 'node:fs';
import { Client } from '@modelpress/client';
import type { JobDetail } from '@modelpress/client';
import { ModelpressError, parseRecipe } from '@modelpress/core';
import type { Command } from 'commander';
import { connect, homeOf, namedServer, withConnection } from '../connection';
import type { ConnectionFlags } from '../connection';
import type { CliEnvironment } from '../environment';
import type { ExitCode } from '../exit-codes';
import { followJob } from '../follow';
import { untilInterrupted } from '../interrupt';
import { runningServer } from '../local/server-file';
import { startStack } from '../local/stack';
import { printJson, tell } from '../output';
import { conclude, requireFree, withKeep } from '../result';
import type { Keep } from '../result';
import { giveDataset, giveModel } from '../upload';
import type { UploadContext } from '../upload';

export interface JobFlags extends ConnectionFlags {
  readonly model?: string;
  readonly teacher?: readonly string[];
  readonly data?: string;
  readonly unlabelled?: string;
  readonly calibration?: string;
  readonly name?: string;
  readonly priority?: string;
}

interface RunFlags extends JobFlags, Keep {
  readonly json?: string;
}

const withInputs = (command: Command): Command =>
  command
    .argument('<recipe>', 'recipe file (YAML or JSON)')
    .option('--model <model>', 'ONNX file, folder, hf:owner/name, or id of a model of the server')
    .option(
      '--teacher <model>',
      'further model that teaches beside the model, for distill; may be given several times',
      (model: string, before: readonly string[] | undefined) => [...(before ?? []), model],
    )
    .option('--data <data>', 'data set: file, folder, or id')
    .option('--unlabelled <data>', 'unlabelled texts, for stages that read them')
    .option('--calibration <data>', 'calibration texts, for stages that read them')
    .option('--name <name>', "name of the job (default: the recipe's)")
    .option('--priority <0-9>', 'higher runs sooner');

export function addRun(program: Command, environment: CliEnvironment, end: (code: ExitCode) => void): void {
  withKeep(withInputs(withConnection(program.command('run'))))
    .summary('run a recipe to its end and print the report')
    .description(
      'Submits a job, shows its progress and prints its report. Without a server it starts the embedded stack for the run.\nCtrl-C cancels the job.',
    )
    .option('--json <file>', 'write the report as JSON; "-" prints it instead of the table')
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 failed, 2 usage, 3 done but a goal was missed.\n\nExamples:\n  $ modelpress run recipes/quantize.yaml --model bert.onnx --data reviews.tsv --output smaller\n  $ modelpress run recipe.yaml --model hf:owner/name --data data/ --server https://press.example --json report.json',
    )
    .action(async (recipe: string, flags: RunFlags) => {
      end(await untilInterrupted((signal) => run(recipe, flags, environment, signal)));
    });
}

export function addSubmit(program: Command, environment: CliEnvironment): void {
  withInputs(withConnection(program.command('submit')))
    .summary('submit a job and print its id')
    .description('Uploads what is given, submits the job to a running server and returns at once.')
    .option('--dry-run', 'check the job and print what it would do; nothing is queued')
    .option('--json', 'print the job as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ modelpress watch $(modelpress submit recipe.yaml --model bert.onnx --data reviews.tsv)',
    )
    .action(async (recipe: string, flags: JobFlags & { json?: boolean; dryRun?: boolean }) => {
      const client = connect(flags, environment);
      const job = await prepare(recipe, flags, uploadContext(client, flags, environment));
      if (flags.dryRun) return printJson(await client.jobs.dryRun(job));
      const submitted = await client.jobs.submit(job);
      if (flags.json) printJson(submitted);
      else console.log(submitted.id);
      return undefined;
    });
}

const uploadContext = (
  client: Client,
  flags: ConnectionFlags,
  environment: CliEnvironment,
  signal?: AbortSignal,
): UploadContext => ({
  client,
  home: homeOf(flags, environment),
  hubToken: environment.hubToken,
  ...(signal ? { signal } : {}),
});

type Submission = Parameters<Client['jobs']['submit']>[0];

/** Reads the recipe, uploads what it needs. @throws `recipe.*` before anything is uploaded */
async function prepare(file: string, flags: JobFlags, context: UploadContext): Promise<Submission> {
  const recipe = parseRecipe(readRecipe(file));
  const model = flags.model === undefined ? undefined : await giveModel(flags.model, context);
  const teacherIds: string[] = [];
  for (const teacher of flags.teacher ?? []) teacherIds.push((await giveModel(teacher, context)).id);
  const datasets: Record<string, string> = {};
  for (const role of ['data', 'unlabelled', 'calibration'] as const) {
    const given = flags[role];
    if (given === undefined) continue;
    datasets[role] = (await giveDataset(given, context, role === 'data' ? { splits: 'auto' } : {})).id;
  }
  return {
    recipe: recipe as Submission['recipe'],
    datasets,
    ...(model ? { modelId: model.id } : {}),
    ...(teacherIds.length === 0 ? {} : { teacherIds }),
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(flags.priority === undefined ? {} : { priority: Number(flags.priority) }),
  };
}

function readRecipe(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ModelpressError('invalid', 'cli.recipe', `The recipe ${file} cannot be read.`, { file }, { cause });
  }
}

async function run(
  recipe: string,
  flags: RunFlags,
  environment: CliEnvironment,
  signal: AbortSignal,
): Promise<ExitCode> {
  parseRecipe(readRecipe(recipe));
  requireFree(flags);
  const home = homeOf(flags, environment);
  const reachable = namedServer(flags, environment) ?? (runningServer(home) ? connect(flags, environment) : undefined);
  const work = async (client: Client): Promise<ExitCode> => {
    const submission = await prepare(recipe, flags, uploadContext(client, flags, environment, signal));
    return conclude(client, await runJob(client, submission, signal), flags);
  };
  return reachable ? work(reachable) : onOwnStack(home, environment, signal, work);
}

/** Starts the embedded stack for some work and stops it afterwards. */
export async function onOwnStack<T>(
  home: string,
  environment: CliEnvironment,
  signal: AbortSignal,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  tell(`Starting the embedded stack in ${home}.`);
  const stack = await startStack({ home, environment: environment.inherited, signal, onNotice: tell });
  try {
    return await Promise.race([work(new Client(stack)), stack.failed]);
  } finally {
    await stack.stop();
  }
}

/** Submits a job and follows it; an interrupt cancels it. */
export async function runJob(client: Client, submission: Submission, signal: AbortSignal): Promise<JobDetail> {
  const { id, name } = await client.jobs.submit(submission);
  tell(`Job ${name} (${id})`);
  const job = await followJob(client, id, signal);
  if (!signal.aborted) return job;
  tell('Cancelling the job.');
  await client.jobs.cancel(id);
  return followJob(client, id);
}
