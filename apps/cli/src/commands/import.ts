import { Option } from 'commander';
import type { Command } from 'commander';
import { connect, homeOf, withConnection } from '../connection';
import type { ConnectionFlags } from '../connection';
import type { CliEnvironment } from '../environment';
import { printJson } from '../output';
import { giveDataset, giveModel } from '../upload';

const KINDS = ['model', 'dataset'] as const;

interface ImportFlags extends ConnectionFlags {
  readonly as: (typeof KINDS)[number];
  readonly name?: string;
  readonly json?: boolean;
}

export function addImport(program: Command, environment: CliEnvironment): void {
  withConnection(program.command('import'))
    .summary('upload a model or a data set and print its id')
    .argument('<source>', 'file or folder; for a model also hf:owner/name or hf:owner/name@revision')
    .addOption(new Option('--as <kind>', 'what it is').choices(KINDS).default('model'))
    .option('--name <name>', 'name on the server (default: that of the source)')
    .option('--json', 'print what the server stored as JSON')
    .addHelpText(
      'after',
      '\nPrivate models of the hub need a token in HF_TOKEN.\n\nExamples:\n  $ modelpress import hf:owner/name\n  $ modelpress import data/reviews --as dataset --name reviews',
    )
    .action(async (source: string, flags: ImportFlags) => {
      const client = connect(flags, environment);
      const context = { client, home: homeOf(flags, environment), hubToken: environment.hubToken };
      const stored =
        flags.as === 'model'
          ? await giveModel(source, context, flags.name)
          : await giveDataset(source, context, { name: flags.name, splits: 'auto' });
      if (flags.json) printJson(stored);
      else console.log(stored.id);
    });
}
