/** @file Measurements and report sections of the share stage. */
import type { Manifest } from '../bundle';
import { formatBytes } from '../report/format';
import type { Measurement, ReportSection } from '../report/measurement';
import type { SharedMatrix } from '../share/layers';
import { runtimeWeightBytes } from '../share/decode';
import type { CodedWeight, ShareResult } from '../share/run';
import { candidateFigure } from './candidate-figure';
import { recoveryFigures, recoverySections } from './recovery-report';

interface Report {
  readonly measurements: Measurement[];
  readonly sections: ReportSection[];
}

export function shareReport(
  before: Manifest,
  { bundle, shared, coded, recovery }: ShareResult,
  bytes: { readonly before: number; readonly after: number },
): Report {
  const { parameters, codebooks = [] } = bundle.manifest;
  const loaded = runtimeWeightBytes(bundle.model.graph, codebooks);
  return {
    measurements: [
      ...recoveryFigures(recovery),
      candidateFigure('parameters.total', parameters.total, 'count'),
      candidateFigure('bytes.model', bytes.after, 'bytes'),
      candidateFigure('bytes.weightsLoaded', loaded, 'bytes'),
    ],
    sections: [
      {
        kind: 'table',
        title: 'On disk and at run time',
        columns: ['', 'before', 'after'],
        rows: [
          ['parameters', before.parameters.total, parameters.total],
          ['model.onnx', formatBytes(bytes.before), formatBytes(bytes.after)],
          ['weights when loaded', formatBytes(4 * before.parameters.total), formatBytes(loaded)],
        ],
        note:
          coded.length > 0
            ? 'ONNX Runtime decodes the codes when it loads the model: at run time the weights are float32 again, with the memory and the speed of the original.'
            : 'A shared matrix is in the file and in memory once. Every layer still multiplies by it, so the speed stays.',
      },
      ...(shared.length > 0 ? [sharedTable(shared)] : []),
      ...(coded.length > 0 ? [codedTable(coded)] : []),
      ...recoverySections(recovery),
    ],
  };
}

const sharedTable = (shared: readonly SharedMatrix[]): ReportSection => ({
  kind: 'table',
  title: 'Shared matrices',
  columns: ['Component', 'Layers', 'Elements', 'Distance to the average'],
  rows: shared.map(({ component, layers, elements, distance }) => [
    component,
    layers.join(', '),
    elements,
    `${(100 * distance).toFixed(1)} %`,
  ]),
  note: 'The distance is the Frobenius norm of what averaging changed over that of the weight, the mean of the layers.',
});

function codedTable(coded: readonly CodedWeight[]): ReportSection {
  const components = [...new Set(coded.map(({ component }) => component))];
  return {
    kind: 'table',
    title: 'Weights stored as codes',
    columns: ['Component', 'Weights', 'Before', 'After', 'Largest relative error'],
    rows: components.map((component) => {
      const group = coded.filter((weight) => weight.component === component);
      const total = (of: (weight: CodedWeight) => number): string =>
        formatBytes(group.reduce((sum, weight) => sum + of(weight), 0));
      const error = Math.max(...group.map(({ relativeError }) => relativeError));
      return [
        component,
        group.length,
        total(({ bytesBefore }) => bytesBefore),
        total(({ bytesAfter }) => bytesAfter),
        `${(100 * error).toFixed(2)} %`,
      ];
    }),
    note: 'The relative error of a weight is the Frobenius norm of the difference over that of the weight, before any training.',
  };
}
