import type { Measurement } from '../report/measurement';

/** A figure of the model that a stage made. */
export const candidateFigure = (
  metric: string,
  value: number,
  unit: string,
  context: Measurement['context'] = {},
): Measurement => ({ metric, value, unit, subject: 'candidate', context });
