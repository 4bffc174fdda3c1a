/** @file The command line. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { addDemo } from './commands/demo';
import { addDoctor } from './commands/doctor';
import { addImport } from './commands/import';
import { addCancel, addJobs, addReport, addWatch } from './commands/jobs';
import { addRun, addSubmit } from './commands/run';
import { addStages } from './commands/stages';
import { addUp } from './commands/up';
import type { CliEnvironment } from './environment';
import { EXIT } from './exit-codes';
import type { ExitCode } from './exit-codes';

const version = (): string =>
  (JSON.parse(readFileSync(join(__dirname, '..', 'package.json'), 'utf8')) as { version: string }).version;

/** Builds the program. `end` hears the exit code of commands that have one of their own. */
export function createProgram(environment: CliEnvironment, end: (code: ExitCode) => void): Command {
  const program = new Command('modelpress')
    .description('Makes text transformers smaller and faster, and measures what that cost.')
    .version(version())
    .showHelpAfterError('(add --help for what it takes)')
    .configureHelp({ showGlobalOptions: true });
  // Commander ends with 1 on wrong usage; here 1 means that a job failed.
  program.exitOverride((error) => {
    throw Object.assign(error, { exitCode: error.exitCode === 0 ? EXIT.done : EXIT.usage });
  });
  addDemo(program, environment, end);
  addUp(program, environment);
  addRun(program, environment, end);
  addSubmit(program, environment);
  addWatch(program, environment, end);
  addJobs(program, environment);
  addReport(program, environment);
  addCancel(program, environment);
  addStages(program);
  addImport(program, environment);
  addDoctor(program);
  return program;
}
