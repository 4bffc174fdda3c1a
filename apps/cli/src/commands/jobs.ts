/** @file Commands that look at the jobs of a server: jobs, watch, report, cancel. */
import type { Job } from '@modelpress/client';
import { formatSeconds } from '@modelpress/core';
import type { Command } from 'commander';
import { Option } from 'commander';
import { connect, withConnection } from '../connection';
import type { ConnectionFlags } from '../connection';
import type { CliEnvironment } from '../environment';
import type { ExitCode } from '../exit-codes';
import { followJob } from '../follow';
import { untilInterrupted } from '../interrupt';
import { printJson, printList, tell } from '../output';
import { conclude, keep, printReport, requireFree, saveReport, withKeep } from '../result';
import type { Keep } from '../result';

const STATES = ['queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled'] as const;

export function addJobs(program: Command, environment: CliEnvironment): void {
  withConnection(program.command('jobs'))
    .summary('list jobs, newest first')
    .addOption(new Option('--state <state>', 'only jobs in this state').choices(STATES))
    .option('--limit <count>', 'at most so many', '20')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  $ modelpress jobs\n  $ modelpress jobs --state failed --json')
    .action(async (flags: ConnectionFlags & { state?: Job['state']; limit: string; json?: boolean }) => {
      const query = { limit: Number(flags.limit), ...(flags.state ? { state: flags.state } : {}) };
      const { items } = await connect(flags, environment).jobs.list(query);
      printList(items, flags.json ?? false, {
        Id: ({ id }) => id,
        Name: ({ name }) => name,
        State: ({ state }) => state,
        Submitted: ({ createdAt }) => new Date(createdAt).toLocaleString(),
        Time: timeOf,
      });
    });
}

function timeOf({ startedAt, finishedAt }: Job): string {
  if (startedAt === null) return '';
  const end = finishedAt === null ? Date.now() : Date.parse(finishedAt);
  return formatSeconds((end - Date.parse(startedAt)) / 1000);
}

export function addWatch(program: Command, environment: CliEnvironment, end: (code: ExitCode) => void): void {
  withKeep(withConnection(program.command('watch')))
    .summary('follow a job to its end and print its report')
    .description('Shows the progress of every stage. Ctrl-C stops watching; the job goes on.')
    .argument('<job>', 'id of the job')
    .option('--json <file>', 'write the report as JSON; "-" prints it instead of the table')
    .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 usage, 3 done but a goal was missed.')
    .action(async (id: string, flags: ConnectionFlags & Keep & { json?: string }) => {
      requireFree(flags);
      const client = connect(flags, environment);
      await untilInterrupted(async (signal) => {
        const job = await followJob(client, id, signal);
        if (!signal.aborted) end(await conclude(client, job, flags));
      });
    });
}

export function addReport(program: Command, environment: CliEnvironment): void {
  withKeep(withConnection(program.command('report')))
    .summary('print the report of a job that has ended')
    .argument('<job>', 'id of the job')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ modelpress report 0199… --html report.html --output model')
    .action(async (id: string, flags: ConnectionFlags & Keep & { json?: boolean }) => {
      requireFree(flags);
      const client = connect(flags, environment);
      const report = await client.jobs.report(id);
      if (flags.json) saveReport(report, '-');
      else printReport(report);
      await keep(client, id, report, flags);
    });
}

export function addCancel(program: Command, environment: CliEnvironment): void {
  withConnection(program.command('cancel'))
    .summary('cancel a job')
    .description('Its stage runs stop within seconds, unless another job wants them too.')
    .argument('<job>', 'id of the job')
    .option('--json', 'print the job as JSON')
    .action(async (id: string, flags: ConnectionFlags & { json?: boolean }) => {
      const job = await connect(flags, environment).jobs.cancel(id);
      if (flags.json) printJson(job);
      else tell(`${job.name}: ${job.state}`);
    });
}
