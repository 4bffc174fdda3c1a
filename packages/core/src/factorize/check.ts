/** @file What is wrong with a factorize config, told before anything is queued. */
import type { Manifest } from '../bundle/manifest';
import { danIssues } from '../dan/finished';
import { requiredIssues } from '../sensitivity/required';
import type { Issue, StagePreview } from '../stages/stage';
import type { FactorizeConfig } from './config';
import { knownMatrices, leastParameters } from './estimate';
import type { KnownMatrix } from './estimate';
import { rankAboveFull } from './ranks';

/** Problems of a config by itself and with what is known of its inputs. */
export function factorizeIssues(config: FactorizeConfig, preview: StagePreview): Issue[] {
  const { model, datasets } = preview;
  return [
    ...dataIssues(config, datasets),
    ...(model ? modelIssues(config, model) : []),
    ...sensitivityIssues(config, preview),
  ];
}

function sensitivityIssues({ bySensitivity, budget }: FactorizeConfig, preview: StagePreview): Issue[] {
  if (!bySensitivity) return [];
  const message = `A budget of type "${budget.type}" leaves nothing to divide by sensitivity: use parameters or bytes.`;
  return [
    ...(budget.type === 'rank' || budget.type === 'energy'
      ? [{ path: 'budget.type', code: 'by-sensitivity', message }]
      : []),
    ...requiredIssues('bySensitivity', 'rank', preview),
  ];
}

function dataIssues({ method, epochs }: FactorizeConfig, { data }: StagePreview['datasets']): Issue[] {
  const reader =
    (epochs > 0 && { path: 'epochs', what: 'Recovery training', instead: 'set epochs to 0' }) ||
    (method === 'activation-aware' && { path: 'method', what: 'Activation-aware factorization', instead: 'use "svd"' });
  if (!reader || data?.splits.train) return [];
  const missing = data ? `the data set "${data.name}" has none` : 'there is no data set';
  const message = `${reader.what} reads a train split, but ${missing}: give one or ${reader.instead}.`;
  return [{ path: reader.path, code: data ? 'no-train-split' : 'no-data', message }];
}

function modelIssues(config: FactorizeConfig, model: Manifest): Issue[] {
  if (model.architecture === 'dan') return danIssues(model);
  const issues = config.components.flatMap((component, i): Issue[] => {
    const path = `components[${i}]`;
    const entries = model.components.filter((entry) => entry.component === component);
    if (entries.length === 0) {
      const stored = model.codebooks?.some((entry) => entry.component === component);
      const message = stored
        ? `${component} of the model "${model.name}" is stored as a codebook: factorize before that.`
        : `The model "${model.name}" has no ${component}.`;
      return [{ path, code: stored ? 'codebook' : 'no-component', message }];
    }
    if (entries.some(({ factor }) => !factor)) return [];
    const message = `${component} of the model "${model.name}" is factorized already: factorize the model it was made from.`;
    return [{ path, code: 'already-factorized', message }];
  });
  const matrices = knownMatrices(model, config.components);
  return matrices && issues.length === 0 ? budgetIssues(config, model, matrices) : issues;
}

function budgetIssues(
  { budget, minimumRank }: FactorizeConfig,
  { parameters }: Manifest,
  matrices: readonly KnownMatrix[],
): Issue[] {
  const before = matrices.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  const least = leastParameters(matrices, minimumRank);
  switch (budget.type) {
    case 'rank': {
      const known = matrices.map(({ component, rows, columns }) => ({ component, fullRank: Math.min(rows, columns) }));
      const message = rankAboveFull(known, budget.rank);
      return message ? [{ path: 'budget.rank', code: 'rank-above-full', message }] : [];
    }
    case 'parameters': {
      if (before * budget.share >= least) return [];
      const message = `At the minimum rank of ${minimumRank} the chosen matrices keep ${((100 * least) / before).toFixed(1)} % of their parameters, more than ${(100 * budget.share).toFixed(1)} %.`;
      return [{ path: 'budget.share', code: 'budget-too-small', message }];
    }
    case 'bytes': {
      const smallest = 4 * (parameters.total - before + least);
      if (budget.bytes >= smallest) return [];
      const message = `At the minimum rank of ${minimumRank} the model still has about ${smallest} bytes, more than ${budget.bytes}.`;
      return [{ path: 'budget.bytes', code: 'budget-too-small', message }];
    }
    case 'energy':
      return [];
  }
}
