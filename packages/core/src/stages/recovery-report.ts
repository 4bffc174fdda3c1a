/** @file What stages tell of the training that lets a compressed model recover. */
import type { Recovery } from '../finetune/recovery';
import type { Measurement, ReportSection } from '../report/measurement';
import { candidateFigure } from './candidate-figure';

/** Scores on the dev split and what the training took; nothing where there was none. */
export function recoveryFigures(
  recovery: Pick<Recovery, 'dev' | 'trainableParameters' | 'seconds'> | undefined,
): Measurement[] {
  if (!recovery) return [];
  const { dev, trainableParameters, seconds } = recovery;
  return [
    ...Object.entries(dev ?? {}).map(([metric, value]) => candidateFigure(metric, value, 'ratio', { split: 'dev' })),
    candidateFigure('parameters.trainable', trainableParameters, 'count'),
    candidateFigure('train.seconds', seconds, 's'),
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
