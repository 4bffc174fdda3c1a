/** @file What stages tell of the training that lets a compressed model recover. */
import type { Recovery } from '../finetune/recovery';
import type { Measurement, ReportSection } from '../report/measurement';

/** Scores on the dev split and what the training took; nothing where there was none. */
export function recoveryFigures(recovery: Recovery | undefined): Measurement[] {
  if (!recovery) return [];
  const { dev, trainableParameters, seconds } = recovery;
  const base = { subject: 'candidate', context: {} } as const;
  const scores = Object.entries(dev ?? {}).map(([metric, value]): Measurement => ({
    ...base,
    metric,
    value,
    unit: 'ratio',
    context: { split: 'dev' },
  }));
  return [
    ...scores,
    { ...base, metric: 'parameters.trainable', value: trainableParameters, unit: 'count' },
    { ...base, metric: 'train.seconds', value: seconds, unit: 's' },
  ];
}

/** Curves of the training. */
export function recoverySections(recovery: Recovery | undefined): ReportSection[] {
  if (!recovery) return [];
  const { lossCurve, scoreCurve, metric } = recovery;
  const curve = (title: string, x: string, y: string, points: typeof lossCurve): ReportSection => ({
    kind: 'curve',
    title,
    x,
    y,
    series: [{ name: y, points: points.map(([at, value]) => [at, value]) }],
    marks: [],
  });
  return [
    ...(scoreCurve.length > 0 ? [curve('Score on the dev split in recovery', 'epoch', metric, scoreCurve)] : []),
    curve('Loss in recovery', 'step', 'loss', lossCurve),
  ];
}
