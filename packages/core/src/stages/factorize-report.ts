/** @file Measurements and report sections of the factorize stage. */
import type { Manifest } from '../bundle';
import type { FactorizedWeight, FactorizeResult } from '../factorize/run';
import { formatBytes } from '../report/format';
import type { Measurement, ReportSection } from '../report/measurement';
import { candidateFigure } from './candidate-figure';
import { recoveryFigures, recoverySections } from './recovery-report';

interface Report {
  readonly measurements: Measurement[];
  readonly sections: ReportSection[];
}

export function factorizeReport(
  before: Manifest,
  { bundle, weights, passed, recovery }: FactorizeResult,
  bytes: { readonly before: number; readonly after: number },
): Report {
  const { parameters } = bundle.manifest;
  return {
    measurements: [
      ...recoveryFigures(recovery),
      candidateFigure('parameters.total', parameters.total, 'count'),
      candidateFigure('parameters.withoutEmbeddings', parameters.total - parameters.embeddings, 'count'),
      candidateFigure('bytes.model', bytes.after, 'bytes'),
    ],
    sections: [
      {
        kind: 'table',
        title: 'Size',
        columns: ['', 'before', 'after'],
        rows: [
          ['parameters', before.parameters.total, parameters.total],
          ['model.onnx', formatBytes(bytes.before), formatBytes(bytes.after)],
        ],
      },
      ranksByLayer(weights),
      weightTable(weights),
      ...(passed.length > 0
        ? [
            {
              kind: 'table' as const,
              title: 'Chosen, but not factorized',
              columns: ['Weight', 'Component', 'Reason'],
              rows: passed.map(({ weight, component, reason }) => [weight, component, reason]),
            },
          ]
        : []),
      ...recoverySections(recovery),
    ],
  };
}

/** Ranks as a share of the full rank: 1 where a matrix stays whole. */
function ranksByLayer(weights: readonly FactorizedWeight[]): ReportSection {
  const inLayers = weights.filter(({ layer }) => layer !== undefined);
  const components = [...new Set(inLayers.map(({ component }) => component))];
  const layers = [...new Set(inLayers.map(({ layer }) => layer))];
  const share = (layer: number | undefined, component: string): number | null => {
    const found = inLayers.find((weight) => weight.layer === layer && weight.component === component);
    if (!found) return null;
    const { rank, rows, columns } = found;
    return rank === undefined ? 1 : rank / Math.min(rows, columns);
  };
  return {
    kind: 'heatmap',
    title: 'Rank kept, as a share of the full rank',
    rows: layers.map((layer) => `layer ${layer}`),
    columns: components,
    values: layers.map((layer) => components.map((component) => share(layer, component))),
    unit: 'ratio',
  };
}

function weightTable(weights: readonly FactorizedWeight[]): ReportSection {
  return {
    kind: 'table',
    title: 'Matrices',
    columns: ['Component', 'Layer', 'Size', 'Rank', 'Energy kept', 'Parameters before', 'after', 'Saves', 'Result'],
    rows: weights.map(({ component, layer, rows, columns, rank, kept, reason }) => {
      const before = rows * columns;
      const after = rank === undefined ? before : rank * (rows + columns);
      return [
        component,
        layer ?? null,
        `${rows} x ${columns}`,
        rank ?? Math.min(rows, columns),
        `${(100 * kept).toFixed(1)} %`,
        before,
        after,
        `${(100 * (1 - after / before)).toFixed(1)} %`,
        reason ?? 'two thin matrices',
      ];
    }),
    note: 'Two thin matrices of rank r have r (m + n) elements instead of m n, and as many multiply-adds for a token. Energy is the share of the squared singular values: of the weight, or of its outputs on the texts that were looked at.',
  };
}
