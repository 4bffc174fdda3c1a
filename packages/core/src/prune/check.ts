/** @file What is wrong with a prune config, told before anything is queued. */
import type { Manifest } from '../bundle';
import { danIssues } from '../dan/finished';
import { rewrittenGraph } from '../models';
import type { Issue, StagePreview } from '../stages/stage';
import { IMPORTANCES, importanceOf, isStructured, isTrained, PRUNABLE } from './config';
import type { PruneConfig } from './config';
import { requiredIssues } from '../sensitivity/required';
import { MOST } from './sensitive-targets';
import { isOurs, neuronTargets } from './structured-run';

/** Problems of a config by itself and with what is known of its inputs. */
export function pruneIssues(config: PruneConfig, preview: StagePreview): Issue[] {
  const { model, datasets } = preview;
  return [
    ...nothingIssues(config),
    ...phaseIssues(config),
    ...importanceIssues(config),
    ...sensitivityIssues(config, preview),
    ...(model ? [...danIssues(model), ...modelIssues(config, model)] : []),
    ...(datasets.data && !datasets.data.splits.train
      ? [{ path: '', code: 'no-train-split', message: `The data set "${datasets.data.name}" has no train split.` }]
      : []),
  ];
}

function nothingIssues({ target, targets, hidden, vocabulary, granularity }: PruneConfig): Issue[] {
  const shares = [target, hidden, ...Object.values(targets)];
  if (vocabulary || granularity.type === 'n-of-m' || shares.some((share) => share > 0)) return [];
  return [{ path: 'target', code: 'nothing-to-prune', message: 'All targets are 0 and the vocabulary stays.' }];
}

function phaseIssues(config: PruneConfig): Issue[] {
  const { epochs, warmupEpochs, pruningEpochs, floor, hidden, rewind, granularity } = config;
  const issues: Issue[] = [];
  if (epochs > 0 && warmupEpochs + pruningEpochs > epochs) {
    const phases = `${warmupEpochs > 0 ? 'Warm-up and pruning take' : 'Pruning takes'} ${warmupEpochs + pruningEpochs} epochs`;
    const message = `${phases}, more than the ${epochs} epochs of the whole training.`;
    issues.push({ path: 'pruningEpochs', code: 'phase-too-long', message });
  }
  const wanted: [path: string, share: number][] = [
    ['target', config.target],
    ['hidden', hidden],
    ...Object.entries(config.targets).map(([name, share]): [string, number] => [`targets.${name}`, share]),
  ];
  for (const [path, share] of wanted) {
    if (share <= 1 - floor) continue;
    const message = `A target of ${share} cannot be reached while every group keeps ${floor}.`;
    issues.push({ path, code: 'target-above-floor', message });
  }
  if (hidden > 0 && !isStructured(granularity)) {
    const message = `Hidden dimensions go with neurons, heads or layers, not with ${granularity.type} pruning.`;
    issues.push({ path: 'hidden', code: 'hidden-unstructured', message });
  }
  if (rewind && isStructured(granularity)) {
    issues.push({
      path: 'rewind',
      code: 'rewind-structured',
      message: 'Rewinding keeps masks, so it is for unstructured pruning.',
    });
  }
  if (granularity.type === 'n-of-m' && granularity.keep >= granularity.of) {
    const message = `Keeping ${granularity.keep} of ${granularity.of} removes nothing.`;
    issues.push({ path: 'granularity.keep', code: 'n-of-m', message });
  }
  return issues;
}

function importanceIssues(config: PruneConfig): Issue[] {
  const kind = isStructured(config.granularity) ? 'structured' : 'unstructured';
  const importance = importanceOf(config);
  const issues: Issue[] = [];
  if (!IMPORTANCES[kind].includes(importance)) {
    const message = `${importance} does not measure ${config.granularity.type}s; use ${IMPORTANCES[kind].join(', ')}.`;
    issues.push({ path: 'importance', code: 'importance', message });
  }
  if (config.epochs === 0 && isTrained(importance)) {
    const message = `${importance} learns its scores by training, so epochs must be above 0.`;
    issues.push({ path: 'epochs', code: 'needs-training', message });
  }
  if (config.rewind && importance !== 'magnitude') {
    issues.push({ path: 'rewind', code: 'rewind-magnitude', message: 'Rewinding finds its masks by magnitude.' });
  }
  return issues;
}

function modelIssues(config: PruneConfig, model: Manifest): Issue[] {
  const { granularity, targets } = config;
  const present = new Set(model.components.map(({ component }) => component));
  const lacking = PRUNABLE.filter((component) => targets[component] !== undefined && !present.has(component)).map(
    (component): Issue => ({
      path: `targets.${component}`,
      code: 'no-component',
      message: `The model "${model.name}" has no ${component}.`,
    }),
  );
  lacking.push(...vocabularyIssues(config, model));
  if (model.codebooks?.length && !PRUNABLE.some((component) => present.has(component))) {
    const message = `All weights of "${model.name}" are stored as codebooks: prune before the share stage.`;
    lacking.push({ path: '', code: 'codebooks', message });
  }
  if (!isStructured(granularity)) return [...lacking, ...divisibilityIssues(config, model)];
  const rewritten = rewrittenGraph(model);
  if (rewritten) return [...lacking, { path: 'granularity', code: 'rewritten', message: rewritten }];
  if (!model.structure) {
    const message = `The structure of the ${model.architecture} model is not known: only weight, n-of-m and block pruning are possible.`;
    return [...lacking, { path: 'granularity', code: 'no-structure', message }];
  }
  return [
    ...lacking,
    ...outputIssues(config),
    ...(isOurs(model.architecture) ? [] : foreignIssues(config)),
    ...emptyingIssues(config, model.structure.layers),
    ...hiddenIssues(config, model, model.structure),
  ];
}

/** What cannot be cut out of a graph that another toolchain made; our own are built anew. */
function foreignIssues({ granularity, hidden, heads, target, targets }: PruneConfig): Issue[] {
  const wanted: [path: string, isAsked: boolean, what: string][] = [
    ['granularity', granularity.type === 'layer', 'whole layers cannot go'],
    ['hidden', hidden > 0, 'hidden dimensions cannot go'],
    ['targets', Boolean(targets.W_AO ?? targets.W_O), 'outputs of W_AO and W_O cannot go'],
    ['heads', heads === 'exact', 'heads must end up equal (`equal` or `padded`)'],
    ['target', Math.max(target, ...Object.values(targets)) === 1, 'something of every block must stay'],
  ];
  return wanted.flatMap(([path, isAsked, what]): Issue[] => {
    const message = `The graph was kept as another toolchain made it, and is cut in place: ${what}. Imported without keepGraph it may be one that can be built anew.`;
    return isAsked ? [{ path, code: 'foreign-graph', message }] : [];
  });
}

/** Components that have no target of their own in structured pruning. */
function outputIssues({ targets, granularity }: PruneConfig): Issue[] {
  const isByNeuron = granularity.type === 'neuron';
  return (['W_AO', 'W_O', 'W_P'] as const).flatMap((component): Issue[] => {
    if (targets[component] === undefined || (isByNeuron && component !== 'W_P')) return [];
    const message = isByNeuron
      ? 'Outputs of the pooler go with the hidden dimensions: set `hidden`.'
      : `${granularity.type} pruning has no targets by component.`;
    return [{ path: `targets.${component}`, code: 'no-output-neurons', message }];
  });
}

/** Targets by sensitivity: a budget to divide, components to divide it among, and something that says how. */
function sensitivityIssues(config: PruneConfig, preview: StagePreview): Issue[] {
  const { bySensitivity, granularity, target, targets } = config;
  if (!bySensitivity) return [];
  const issue = (path: string, message: string): Issue[] => [{ path, code: 'by-sensitivity', message }];
  return [
    ...(granularity.type === 'head' || granularity.type === 'layer' || granularity.type === 'n-of-m'
      ? issue('granularity', `${granularity.type} pruning has no targets by component to choose.`)
      : []),
    ...(Object.keys(targets).length > 0
      ? issue('targets', 'Targets come from the sensitivity stage: give none, or set bySensitivity to false.')
      : []),
    ...(target === 0 || target > MOST
      ? issue('target', `As a budget to be divided by sensitivity, target must be above 0 and at most ${MOST}.`)
      : []),
    ...requiredIssues('bySensitivity', 'prune', preview),
  ];
}

/** The token table is cut where it only looks ids up, and where the tokenizer can be rewritten. */
function vocabularyIssues({ vocabulary }: PruneConfig, { task, tokenizer }: Manifest): Issue[] {
  if (!vocabulary) return [];
  const issue = (message: string): Issue[] => [{ path: 'vocabulary', code: 'vocabulary', message }];
  if (task === 'masked-lm' || task === 'causal-lm') {
    return issue(`The vocabulary of a ${task} model is also what it answers with and cannot be pruned.`);
  }
  if (tokenizer?.kind === 'wordpiece' || tokenizer?.kind === 'byte-bpe') return [];
  return issue(
    `Only WordPiece and byte-pair vocabularies can be pruned; the model has ${tokenizer?.kind ?? 'no tokenizer'}.`,
  );
}

/** Hidden dimensions: some stay, and the model's answer keeps its width. */
function hiddenIssues(
  { hidden }: PruneConfig,
  { task }: Manifest,
  structure: NonNullable<Manifest['structure']>,
): Issue[] {
  const issue = (code: string, message: string): Issue => ({ path: 'hidden', code, message });
  if (hidden > 0 && task === 'embedding') {
    return [issue('hidden-embedding', 'The hidden dimensions of an embedding model are its answer and cannot go.')];
  }
  if (Math.floor(structure.hidden * hidden) < structure.hidden) return [];
  return [issue('nothing-left', `A share of ${hidden} removes all ${structure.hidden} hidden dimensions.`)];
}

/** Whole heads or layers: at least one must stay. */
function emptyingIssues(config: PruneConfig, layers: NonNullable<Manifest['structure']>['layers']): Issue[] {
  const targets = neuronTargets(config);
  const units = { head: layers.reduce((sum, { heads }) => sum + heads, 0), layer: layers.length };
  return (['head', 'layer'] as const).flatMap((kind): Issue[] => {
    const share = targets[kind];
    if (share === undefined || Math.floor(units[kind] * share) < units[kind]) return [];
    return [
      { path: 'target', code: 'nothing-left', message: `A target of ${share} removes all ${units[kind]} ${kind}s.` },
    ];
  });
}

/** N:M and blocks must divide the matrices; sizes are known where the structure is. */
function divisibilityIssues({ granularity }: PruneConfig, { structure }: Manifest): Issue[] {
  if (!structure || granularity.type === 'weight' || isStructured(granularity)) return [];
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const inputs = granularity.type === 'n-of-m' ? granularity.of : granularity.rows;
  const outputs = granularity.type === 'n-of-m' ? 1 : granularity.columns;
  const { hidden } = structure;
  const bad = structure.layers.flatMap(({ queryDims, valueDims, ffn, attentionOutputs, ffnOutputs }, layer) =>
    [
      [hidden, sum(queryDims)],
      [hidden, sum(valueDims)],
      [sum(valueDims), attentionOutputs?.length ?? hidden],
      [hidden, ffn],
      [ffn, ffnOutputs?.length ?? hidden],
    ]
      .filter(([rows, columns]) => rows % inputs !== 0 || columns % outputs !== 0)
      .map(([rows, columns]) => `layer ${layer} has a [${rows}, ${columns}] matrix`),
  );
  if (bad.length === 0) return [];
  const unit = granularity.type === 'n-of-m' ? `runs of ${inputs} inputs` : `${inputs}x${outputs} blocks`;
  return [{ path: 'granularity', code: 'pattern-size', message: `${bad[0]}, which does not divide into ${unit}.` }];
}
