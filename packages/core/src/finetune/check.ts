/** @file What can be refused before a model is trained, and what is known of it afterwards. */
import { labelsOf } from '../bundle/manifest';
import type { Manifest, Task } from '../bundle/manifest';
import { danIssues } from '../dan/finished';
import { knownMatrices } from '../factorize/estimate';
import { rewrittenGraph } from '../models';
import { TRANSFORMER_ARCHITECTURES } from '../models/config';
import type { Issue, StagePreview } from '../stages/stage';
import type { FinetuneConfig, MethodConfig } from './config';
import { TASK_OF_KIND } from './start';

export function finetuneIssues({ scratch, method }: FinetuneConfig, { model, datasets }: StagePreview): Issue[] {
  const issues: Issue[] = [];
  const { data } = datasets;
  if (data && !data.splits.train) {
    issues.push({ path: '', code: 'no-train-split', message: `The data set "${data.name}" has no train split.` });
  }
  if (scratch && method.type !== 'full') {
    const message = `A model from scratch must be trained whole, not by ${method.type}.`;
    issues.push({ path: 'method', code: 'method-from-scratch', message });
  }
  if (!model || scratch) return issues;
  if (model.architecture === 'dan') return [...issues, ...danIssues(model)];
  if (method.type !== 'full') issues.push(...attentionIssues(model, method));
  if (method.type === 'lora') issues.push(...loraIssues(model, method));
  if (data && TASK_OF_KIND[data.kind] !== model.task) issues.push(...headIssues(model, TASK_OF_KIND[data.kind]));
  return issues;
}

function attentionIssues({ components, codebooks = [], architecture }: Manifest, { type }: MethodConfig): Issue[] {
  if ([...components, ...codebooks].some(({ component }) => component === 'W_V')) return [];
  const message = `${type} needs a transformer; this ${architecture} model has no attention.`;
  return [{ path: 'method', code: 'no-attention', message }];
}

/** Updates need matrices of their own, stored whole, that are larger than the updates. */
function loraIssues(model: Manifest, { targets, rank }: Extract<MethodConfig, { type: 'lora' }>): Issue[] {
  const { name, components } = model;
  const chosen = components.filter(({ component }) => targets.includes(component));
  const issue = (field: string, code: string, message: string): Issue[] => [{ path: `method.${field}`, code, message }];
  if (chosen.length === 0)
    return issue(
      'targets',
      'no-component',
      `"${name}" has no ${targets.join(' or ')} matrix that could get an update.`,
    );
  if (new Set(chosen.map(({ weight }) => weight)).size < chosen.length)
    return issue(
      'targets',
      'shared',
      `Layers of "${name}" share ${targets.join(' or ')}: no layer can be adapted alone.`,
    );
  const narrow = knownMatrices(model, targets)?.find(({ rows, columns }) => rank >= Math.min(rows, columns));
  if (!narrow) return [];
  const { component, rows, columns } = narrow;
  return issue('rank', 'rank-above-full', `Rank ${rank} is no saving for ${component} of ${rows} x ${columns}.`);
}

/** A model for another task needs another head, for which its graph is built anew. */
function headIssues(model: Manifest, task: Task): Issue[] {
  const isBuilt = TRANSFORMER_ARCHITECTURES.some((name) => name === model.architecture);
  const reason = isBuilt ? rewrittenGraph(model) : `A ${model.architecture} model cannot be given another head.`;
  if (!reason) return [];
  return [{ path: '', code: 'head', message: `The model is for ${model.task}, the data for ${task}. ${reason}` }];
}

/** The same model with other weights. Not known: a model from scratch, another head, parts added to the graph. */
export function finetunedManifest(
  { scratch, method }: FinetuneConfig,
  model: Manifest,
  { data }: StagePreview['datasets'],
): Manifest | undefined {
  const keepsGraph = method.type === 'full' || method.type === 'lora';
  if (scratch || !data || !keepsGraph || TASK_OF_KIND[data.kind] !== model.task) return undefined;
  const known = labelsOf(model);
  const labels = data.labels.every((label) => known.includes(label)) ? known : data.labels;
  return {
    ...model,
    config: { ...model.config, id2label: Object.fromEntries(labels.entries()) },
    provenance: [...model.provenance, { step: 'finetune', detail: { method } }],
  };
}
