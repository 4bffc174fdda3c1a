/** @file What is wrong with a prune config, told before anything is queued. */
import type { Manifest } from '../bundle';
import type { Issue, StagePreview } from '../stages/stage';
import { IMPORTANCES, importanceOf, isStructured, PRUNABLE } from './config';
import type { PruneConfig } from './config';
import { neuronTargets } from './structured-run';

/** Problems of a config by itself and with what is known of its inputs. */
export function pruneIssues(config: PruneConfig, { model, datasets }: StagePreview): Issue[] {
  return [
    ...phaseIssues(config),
    ...importanceIssues(config),
    ...(model ? modelIssues(config, model) : []),
    ...(datasets.data && !datasets.data.splits.train
      ? [{ path: '', code: 'no-train-split', message: `The data set "${datasets.data.name}" has no train split.` }]
      : []),
  ];
}

function phaseIssues({ epochs, pruningEpochs, floor, target, rewind, granularity }: PruneConfig): Issue[] {
  const issues: Issue[] = [];
  if (epochs > 0 && pruningEpochs > epochs) {
    const message = `The pruning phase of ${pruningEpochs} epochs is longer than the ${epochs} epochs of the whole training.`;
    issues.push({ path: 'pruningEpochs', code: 'phase-too-long', message });
  }
  if (target > 1 - floor) {
    const message = `A target of ${target} cannot be reached while every group keeps ${floor}.`;
    issues.push({ path: 'target', code: 'target-above-floor', message });
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
  if (config.epochs === 0 && (importance === 'movement' || importance === 'pst' || importance === 'l0')) {
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
  if (model.provenance.some(({ step }) => step === 'quantize')) {
    lacking.push({
      path: '',
      code: 'quantized',
      message: 'A quantized model cannot be trained: prune the float model it was made from.',
    });
  }
  if (!isStructured(granularity)) return [...lacking, ...divisibilityIssues(config, model)];
  if (!model.structure) {
    const message = `The structure of the ${model.architecture} model is not known: only weight, n-of-m and block pruning are possible.`;
    return [...lacking, { path: 'granularity', code: 'no-structure', message }];
  }
  return [...lacking, ...emptyingIssues(config, model.structure.layers)];
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
  const bad = structure.layers.flatMap(({ queryDims, valueDims, ffn }, layer) =>
    [
      [hidden, sum(queryDims)],
      [hidden, sum(valueDims)],
      [sum(valueDims), hidden],
      [hidden, ffn],
      [ffn, hidden],
    ]
      .filter(([rows, columns]) => rows % inputs !== 0 || columns % outputs !== 0)
      .map(([rows, columns]) => `layer ${layer} has a [${rows}, ${columns}] matrix`),
  );
  if (bad.length === 0) return [];
  const unit = granularity.type === 'n-of-m' ? `runs of ${inputs} inputs` : `${inputs}x${outputs} blocks`;
  return [{ path: 'granularity', code: 'pattern-size', message: `${bad[0]}, which does not divide into ${unit}.` }];
}
