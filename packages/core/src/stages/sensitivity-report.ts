/** @file What the sensitivity stage shows: heat maps of each choice, and tables of layers and components. */
import type { Shape } from '../bench/inputs';
import { isShare } from '../evaluate';
import { formatBytes, formatChange, formatNumber, formatValue, metricName } from '../report/format';
import type { Measurement, ReportSection } from '../report/measurement';
import { dropOf } from '../sensitivity/drop';
import type { Effect, Sensitivity } from '../sensitivity/effects';

/** Divergence of every layer and component as measurements. */
export const sensitivityMeasurements = ({ effects }: Sensitivity): Measurement[] =>
  effects
    .filter(({ scope }) => scope !== 'cell')
    .map(({ choice, group, divergence }) => ({
      metric: 'sensitivity',
      value: divergence,
      unit: 'nat',
      subject: 'comparison',
      context: { choice, group },
    }));

export function sensitivitySections(
  sensitivity: Sensitivity,
  choices: readonly string[],
  shape: Shape,
): ReportSection[] {
  return [
    ...choices.flatMap((choice) => heatmap(choice, sensitivity.effects)),
    ...choices.map((choice) => table(choice, sensitivity, shape)),
  ];
}

/** A thousandth of a nat: int8 rounding moves answers by about this much. */
const MILLI = 1000;

function heatmap(choice: string, effects: readonly Effect[]): ReportSection[] {
  const cells = effects.filter((effect) => effect.choice === choice && effect.scope === 'cell');
  const inLayers = cells.filter(({ layer }) => layer !== undefined);
  if (inLayers.length === 0) return [];
  const layers = [...new Set(inLayers.map(({ layer }) => layer!))].sort((a, b) => a - b);
  const components = COLUMNS.filter((name) => inLayers.some(({ component }) => component === name));
  const at = (layer: number, component: string): number | null => {
    const found = inLayers.find((cell) => cell.layer === layer && cell.component === component);
    return found ? rounded(MILLI * found.divergence) : null;
  };
  return [
    {
      kind: 'heatmap',
      title: `${choice}: distance from the model’s own answers`,
      rows: layers.map((layer) => `layer ${layer}`),
      columns: components,
      values: layers.map((layer) => components.map((component) => at(layer, component))),
      unit: 'Thousandths of a nat (KL; of a regression mean squared difference)',
    },
  ];
}

/** Two digits; below a millionth of a nat nothing. */
const rounded = (value: number): number => (value < 0.001 ? 0 : Number(value.toPrecision(2)));

const COLUMNS = ['W_Q', 'W_K', 'W_V', 'W_AO', 'W_I', 'W_O'];

function table(choice: string, { effects, original, metric, rows, split }: Sensitivity, shape: Shape): ReportSection {
  const shown = effects.filter((effect) => effect.choice === choice && effect.scope !== 'cell');
  const how = shown.find(({ speedupBy }) => speedupBy)?.speedupBy;
  const counted = `told from operations at batch ${shape.batch}, ${shape.sequence} tokens`;
  const measured = `measured in turns with the original at batch ${shape.batch}, ${shape.sequence} tokens`;
  const speed = how === undefined ? '' : ` Speed of the whole model: ${how === 'measured' ? measured : counted}.`;
  return {
    kind: 'table',
    title: `${choice}, by layer and by component`,
    columns: ['Treated', 'KL, 0.001 nat', 'Loss', metricName(metric), 'Change', 'Bytes of it', 'Speed of all'],
    rows: shown.map(({ group, divergence, figures, bytesBefore, bytesAfter, speedup, speedupInterval }) => [
      group,
      formatNumber(MILLI * divergence),
      figures['loss'] === undefined ? null : formatNumber(figures['loss']),
      figures[metric] === undefined ? null : figureOf(metric, figures[metric]),
      changeOf(metric, original[metric], figures[metric]),
      `${formatBytes(bytesBefore)} → ${formatBytes(bytesAfter)}`,
      speedup === undefined
        ? null
        : `${speedup.toFixed(2)}×${speedupInterval ? ` (${speedupInterval.map((end) => end.toFixed(2)).join('–')})` : ''}`,
    ]),
    note: `The most harmful first; the rest of the model as it is, no training. ${rows} rows of the ${split} split; a figure of the task changes by steps of a row, KL does not.${speed}`,
  };
}

const figureOf = (metric: string, value: number): string =>
  isShare(metric) ? formatValue(value, 'ratio') : formatNumber(value);

function changeOf(metric: string, original: number | undefined, figure: number | undefined): string | null {
  if (original === undefined || figure === undefined) return null;
  if (dropOf(metric, original, figure) === 0) return '±0';
  return formatChange(original, figure, isShare(metric) ? 'ratio' : '');
}
