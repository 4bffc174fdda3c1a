import type { Command } from 'commander';
import type { CliEnvironment } from '../environment';
import { homeOf } from '../connection';
import { startStack } from '../local/stack';
import { untilInterrupted } from '../interrupt';
import { tell } from '../output';

interface UpFlags {
  readonly home?: string;
  readonly host: string;
  readonly port: string;
}

export function addUp(program: Command, environment: CliEnvironment): void {
  program
    .command('up')
    .summary('start the embedded stack: database, API and workers')
    .description(
      'Starts PostgreSQL, the API and the four workers on this machine and keeps them running until Ctrl-C.\nEverything is kept in the folder given by --home.',
    )
    .option(
      '--home <folder>',
      'where data, logs and the database are kept (default: MODELPRESS_HOME, else .modelpress)',
    )
    .option('--host <address>', 'address that the API listens on', '127.0.0.1')
    .option('--port <number>', 'port of the API', '7077')
    .addHelpText('after', '\nExamples:\n  $ modelpress up\n  $ modelpress up --port 8080 --home /srv/modelpress')
    .action((flags: UpFlags) => up(flags, environment));
}

async function up(flags: UpFlags, environment: CliEnvironment): Promise<void> {
  const { home, host, port } = { ...flags, home: homeOf(flags, environment) };
  const started = performance.now();
  await untilInterrupted(async (signal) => {
    const stack = await startStack({
      home,
      host,
      port: Number(port),
      environment: environment.inherited,
      signal,
      onNotice: tell,
    });
    try {
      console.log(`Ready in ${((performance.now() - started) / 1000).toFixed(1)} s.`);
      console.log(`  API    ${stack.url}  (documentation: ${stack.url}/docs)`);
      console.log(`  Key    ${stack.key}`);
      console.log(`  Logs   ${stack.logs}`);
      console.log('Ctrl-C stops it. Commands in another terminal find it by themselves: modelpress jobs');
      await Promise.race([stack.failed, new Promise((resolve) => signal.addEventListener('abort', resolve))]);
      tell('Stopping.');
    } finally {
      await stack.stop();
    }
  });
}
