import { CommanderError } from 'commander';
import { readEnvironment } from './environment';
import { EXIT } from './exit-codes';
import { failureOf } from './failure';
import { tell } from './output';
import { createProgram } from './program';

/** Who reads the output may stop early (`modelpress report ID | head`); what is left to do is done all the same. */
function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}

/** Runs the command that the process was started with and sets its exit code. */
export async function main(): Promise<void> {
  process.exitCode = EXIT.done;
  process.stdout.on('error', ignoreClosedPipe);
  const program = createProgram(readEnvironment(), (code) => (process.exitCode = code));
  try {
    await program.parseAsync();
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      process.exitCode = thrown.exitCode;
      return;
    }
    const { lines, code } = failureOf(thrown);
    for (const line of lines) tell(line);
    process.exitCode = code;
  }
}
