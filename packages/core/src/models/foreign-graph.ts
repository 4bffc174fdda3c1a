/** @file What a foreign graph takes and gives: its inputs, its task and its one output. */
import type { Structure, Task } from '../bundle/manifest';
import { invalid, unsupported } from '../errors';
import type { Graph, Model, Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { taskOf } from './config-huggingface';
import type { HuggingFaceConfig } from './config-huggingface';
import { meanPooling } from './heads';
import { BATCH, SEQUENCE } from './network';

const INPUTS = ['input_ids', 'attention_mask', 'token_type_ids'];

/** @throws `import.inputs`, `import.fixed-shape`, `import.input-type` for inputs that modelpress does not feed */
export function checkInputs({ inputs }: Graph): void {
  const unknown = inputs.find((input) => !INPUTS.includes(input.name));
  if (unknown || !inputs.some((input) => input.name === 'input_ids')) {
    const names = inputs.map((input) => input.name).join(', ');
    throw unsupported(
      'import.inputs',
      `The model has the inputs ${names}; modelpress feeds ${INPUTS.join(', ')} and nothing else, and needs input_ids.`,
      { input: unknown?.name },
    );
  }
  const fixed = inputs.find(({ shape }) => shape?.length !== 2 || shape.some((dim) => typeof dim === 'number'));
  if (fixed) {
    throw unsupported(
      'import.fixed-shape',
      `The input ${fixed} must have two open dimensions, batch and sequence: export the model with dynamic axes.`,
      { input: fixed.name },
    );
  }
  const odd = inputs.find(({ dtype }) => dtype !== 'int64');
  if (odd) throw unsupported('import.input-type', `The input ${odd} must be int64.`, { input: odd.name });
}

/** Gives the dimensions of the inputs our names, wherever they occur. */
export function nameDimensions(graph: Graph): void {
  const names = new Map(
    graph.inputs.flatMap(({ shape }) => [[shape![0], BATCH] as const, [shape![1], SEQUENCE] as const]),
  );
  for (const value of graph.values.values()) value.shape = value.shape?.map((dim) => names.get(dim) ?? dim);
}

/** The task and its labels: as asked, as config.json says, else from the output's shape. @throws `model.task`, `model.labels` */
export function decideTask(
  { outputs }: Graph,
  options: { readonly task?: Task; readonly labels?: readonly string[] },
  json: HuggingFaceConfig,
): { task: Task; labels: readonly string[] } {
  const saved = 'architectures' in json ? taskOf(json) : undefined;
  const width = outputs[0]?.shape?.at(-1);
  const task = options.task ?? saved?.task ?? taskFromOutput(outputs[0]);
  if (task !== 'classification' && task !== 'pair-classification') return { task, labels: [] };
  const unnamed = typeof width === 'number' ? Array.from({ length: width }, (_, i) => `LABEL_${i}`) : [];
  const labels = options.labels ?? (saved && saved.labels.length > 0 ? saved.labels : unnamed);
  if (labels.length > 0) return { task, labels };
  throw invalid('model.labels', 'The model does not say how many classes it has: give its labels.', {
    field: 'labels',
  });
}

function taskFromOutput(output: Value | undefined): Task {
  const rank = output?.shape?.length;
  if (rank === 2) return output?.shape?.[1] === 1 ? 'regression' : 'classification';
  if (rank === 3 && output?.name.includes('hidden')) return 'embedding';
  throw invalid('model.task', `What the output ${output} means is not clear: say the task.`, { field: 'task' });
}

/** Keeps one output; hidden states of an embedding model are pooled. Returns its name. */
export function chooseOutput(model: Model, task: Task, labels: readonly string[]): string {
  const { graph } = model;
  const output = graph.outputs.find(({ name }) => name === 'logits') ?? graph.outputs[0];
  if (labels.length > 0 && typeof output.shape?.at(-1) === 'number' && output.shape.at(-1) !== labels.length) {
    throw invalid(
      'bundle.labels',
      `The model has ${output.shape.at(-1)} classes, but ${labels.length} labels are given.`,
      {
        field: 'labels',
      },
    );
  }
  graph.outputs.splice(0, graph.outputs.length, output);
  if (task !== 'embedding' || output.shape?.length !== 3) return output.name;
  const build = new GraphBuilder(model);
  const mask = graph.inputs.find(({ name }) => name === 'attention_mask');
  if (!mask) throw unsupported('import.no-mask', 'Hidden states cannot be pooled without an attention_mask input.');
  graph.outputs.splice(0, 1, meanPooling(build, output, mask, false));
  graph.renameValue(graph.outputs[0], graph.uniqueName('embedding'));
  return graph.outputs[0].name;
}

/** Positions of a text, as far as the model says. */
export function maxLengthFrom(
  graph: Graph,
  structure: Structure | undefined,
  json: HuggingFaceConfig,
  warnings: string[],
): number {
  const rows = structure?.positions || json['max_position_embeddings'] || json['n_positions'];
  if (typeof rows !== 'number') {
    warnings.push('The longest text is not known from the model; 512 tokens are assumed.');
    return 512;
  }
  // RoBERTa counts positions along the tokens, from its padding id + 1.
  const pad = graph.nodes.some((node) => node.opType === 'CumSum') ? (json['pad_token_id'] ?? 1) : -1;
  return rows - (typeof pad === 'number' ? pad : 1) - 1;
}
