/** @file What the prune stage says about its result: where the time went, and whether accuracy collapsed on the way. */
import { METRIC_MODE } from '../finetune/score';
import type { TrainingOutcome } from '../finetune/train-on';
import type { SensitiveTarget } from '../prune/sensitive-targets';
import type { TimeByWork, Work } from '../prune/where-time-goes';
import { WORK } from '../prune/where-time-goes';
import type { ReportSection } from '../report/measurement';

const WORK_NAMES: Readonly<Record<Work, string>> = {
  linear: 'linear layers',
  attention: 'attention products',
  softmax: 'softmax',
  normalisation: 'normalisations',
  activation: 'activation function',
  additions: 'biases, masks and residual additions',
  layout: 'transposes, reshapes and slices',
  lookup: 'lookups',
  other: 'other operators',
  between: 'between operators: dispatch, input and output',
};

/** Why work that pruning did not shrink did not shrink. */
const WHY_NOT: Readonly<Record<Work, string>> = {
  linear: 'matrices grew thinner, and thin ones use the processor less well',
  attention: 'scores are sequence x sequence, whatever the size of a head; odd head sizes multiply slower',
  softmax: 'it works on sequence x sequence numbers for every head that is left',
  normalisation: 'it works on every hidden dimension: only `hidden` shrinks it',
  activation: 'it follows the FFN neurons',
  additions: 'they work on every hidden dimension and every pair of positions',
  layout: 'it moves what is left of queries, keys and values, puts outputs of W_AO and W_O back, and costs a call each',
  lookup: 'it reads one row a token, however many rows there are',
  other: '',
  between: 'each operator costs its call, however small its work',
};

/** Shrunk to less than this share of what FLOPs promise, a kind of work is named. */
const LAGGING = 1.15;

/** The part of the removed share that became latency, and the reasons for the rest. */
export function timeSection({ batch, sequence, flops, milliseconds, total }: TimeByWork): ReportSection {
  const percent = (now: number, old: number): string => (old === 0 ? '' : `${((100 * now) / old).toFixed(0)} %`);
  const share = flops[1] / flops[0];
  const rows = WORK.filter((work) => milliseconds[work][0] > 0).map((work) => {
    const [old, now] = milliseconds[work];
    const excess = now - old * share;
    return { work, old, now, excess, lags: now > old * share * LAGGING };
  });
  const lagging = rows.filter(({ lags, work }) => lags && work !== 'other').sort((a, b) => b.excess - a.excess);
  const reasons = lagging
    .slice(0, 3)
    .map(({ work, excess }) => `${WORK_NAMES[work]} (${excess.toFixed(2)} ms): ${WHY_NOT[work]}`);
  return {
    kind: 'table',
    title: 'Which part of what was removed became latency',
    columns: ['', 'before, ms', 'after, ms', 'kept'],
    rows: [
      ['FLOPs', '', '', percent(flops[1], flops[0])],
      ['time of a pass', round(total[0]), round(total[1]), percent(total[1], total[0])],
      ...rows.map(({ work, old, now }) => [WORK_NAMES[work], round(old), round(now), percent(now, old)]),
    ],
    note: [
      `Measured at ${batch}x${sequence} under the profiler of ONNX Runtime, both models in turns, on the machine that pruned: shares tell more than milliseconds.`,
      ...(reasons.length > 0 ? [`Above the share of FLOPs stay, most first: ${reasons.join('; ')}.`] : []),
    ].join(' '),
  };
}

const round = (value: number): number => Number(value.toPrecision(3));

/** How a budget was divided among components, and by what. */
export function targetsSection(targets: readonly SensitiveTarget[]): ReportSection {
  const shares = [...new Set(targets.flatMap(({ tried }) => tried.map(([share]) => share)))].sort((a, b) => a - b);
  const at = ({ tried }: SensitiveTarget, share: number): number | null => {
    const found = tried.find(([candidate]) => candidate === share);
    return found ? round(found[1]) : null;
  };
  return {
    kind: 'table',
    title: 'Targets by sensitivity',
    columns: ['', 'target', ...shares.map((share) => `KL at ${100 * share} %, nat`)],
    rows: targets.map((row) => [
      row.component,
      `${(100 * row.target).toFixed(0)} %`,
      ...shares.map((share) => at(row, share)),
    ]),
    note: 'KL is of the model with this share of the component pruned by norm, without training, as the sensitivity stage measured it; targets make its sum the least.',
  };
}

/** A score below this share of the best one before it is a collapse. */
const COLLAPSED = 0.5;

/**
 * Whether accuracy collapsed while pruning: where, how far it came back, and what to do. Undefined if it did not, or if
 * the metric has no zero to fall to.
 */
export function collapseWarning(
  { scoreCurve, metric, stepsPerEpoch }: Pick<TrainingOutcome, 'scoreCurve' | 'metric' | 'stepsPerEpoch'>,
  dense: number | undefined,
): string | undefined {
  if (METRIC_MODE[metric] === 'min') return undefined;
  let best = dense ?? 0;
  for (const [i, [epoch, score]] of scoreCurve.entries()) {
    if (score < COLLAPSED * best) {
      const later = Math.max(...scoreCurve.slice(i).map(([, value]) => value));
      const end = later < COLLAPSED * best ? 'did not recover' : `recovered to ${later.toFixed(3)}`;
      return `The ${metric} collapsed from ${best.toFixed(3)} to ${score.toFixed(3)} by step ${Math.round(epoch * stepsPerEpoch)} and ${end}. The best weights after pruning are kept; a lower target, a longer pruning phase (pruningEpochs) or more epochs of recovery may help.`;
    }
    best = Math.max(best, score);
  }
  return undefined;
}
