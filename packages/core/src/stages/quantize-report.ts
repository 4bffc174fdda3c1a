/** @file What the quantize stage tells of its work. */
import type { QuantizeResult, QuantizedWeight, Skipped } from '../quantize';
import { formatBytes } from '../report/format';
import type { ReportSection } from '../report/measurement';

/** A table of what became int8, by component, and one of what stayed float. */
export function quantizeSections({ quantized, skipped }: QuantizeResult): ReportSection[] {
  const nameOf = ({ component }: QuantizedWeight): string => component ?? 'other';
  const components = [...new Set(quantized.map(nameOf))];
  const weights: ReportSection = {
    kind: 'table',
    title: 'Quantized weights',
    columns: ['Component', 'Weights', 'Before', 'After', 'Largest relative error'],
    rows: components.map((name) => {
      const group = quantized.filter((weight) => nameOf(weight) === name);
      return [name, group.length, ...figures(group)];
    }),
    note: 'The relative error of a weight is the Frobenius norm of the rounding error over that of the weight.',
  };
  return skipped.length === 0 ? [weights] : [weights, skippedTable(skipped)];
}

function figures(group: readonly QuantizedWeight[]): [string, string, string] {
  const total = (bytes: (weight: QuantizedWeight) => number): string =>
    formatBytes(group.reduce((sum, weight) => sum + bytes(weight), 0));
  const error = Math.max(...group.map(({ relativeError }) => relativeError));
  return [
    total(({ bytesBefore }) => bytesBefore),
    total(({ bytesAfter }) => bytesAfter),
    `${(100 * error).toFixed(2)} %`,
  ];
}

const skippedTable = (skipped: readonly Skipped[]): ReportSection => ({
  kind: 'table',
  title: 'Left in float',
  columns: ['Node', 'Operator', 'Weight', 'Reason'],
  rows: skipped.map(({ node, op, weight, reason }) => [node, op, weight ?? null, reason]),
});
