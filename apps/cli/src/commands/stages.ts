import { invalid, STAGE_TYPES, stageSchemas } from '@modelpress/core';
import type { StageDescription } from '@modelpress/core';
import type { Command } from 'commander';
import { printJson, printList } from '../output';

interface Field {
  readonly name: string;
  readonly value: string;
  readonly description: string;
}

/** The parts of a JSON Schema that are shown. */
interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
}

export function addStages(program: Command): void {
  program
    .command('stages')
    .summary('list stage types, or the settings of one')
    .argument('[type]', 'stage type')
    .option('--json', 'print JSON, with the JSON Schema of each')
    .addHelpText('after', '\nExamples:\n  $ modelpress stages\n  $ modelpress stages quantize')
    .action((type: string | undefined, { json = false }: { json?: boolean }) => {
      const stages = stageSchemas();
      if (type === undefined) {
        printList(stages, json, {
          Type: (stage) => stage.type,
          Worker: (stage) => stage.queue,
          What: (stage) => stage.summary,
        });
        return;
      }
      const stage = stages.find((one) => one.type === type);
      if (!stage) throw invalid('cli.stage', `There is no stage type "${type}"; there are ${STAGE_TYPES.join(', ')}.`);
      if (json) printJson(stage);
      else printStage(stage);
    });
}

function printStage({ type, summary, schema }: StageDescription): void {
  console.log(`${type}: ${summary}\n`);
  printList(fieldsOf(schema), false, {
    Setting: ({ name }) => name,
    Value: ({ value }) => value,
    Meaning: ({ description }) => description,
  });
}

/** Every setting, those of objects under dotted names. */
function fieldsOf({ properties = {} }: Schema, prefix = ''): Field[] {
  return Object.entries(properties).flatMap(([key, field]) => {
    const name = prefix + key;
    if (field.properties) return fieldsOf(field, `${name}.`);
    return [{ name, value: valueOf(field), description: field.description ?? '' }];
  });
}

function valueOf({ type = 'any', enum: choices, default: fallback }: Schema): string {
  const kind = choices ? choices.join(' | ') : type;
  return fallback === undefined ? kind : `${kind} = ${JSON.stringify(fallback)}`;
}
