/** @file What the quantize stage tells of its work. */
import { weightSettings } from '../quantize';
import type { QuantizeConfig, QuantizedTraining, QuantizeResult, QuantizedWeight, Skipped } from '../quantize';
import { formatBytes } from '../report/format';
import type { ReportSection } from '../report/measurement';

/** A table of what takes fewer bits, by component, with what that buys, and one of what stayed float. */
export function quantizeSections(config: QuantizeConfig, { quantized, skipped }: QuantizeResult): ReportSection[] {
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
    note: `The relative error of a weight is the Frobenius norm of the rounding error over that of the weight. ${effect(config)}`,
  };
  return skipped.length === 0 ? [weights] : [weights, skippedTable(skipped)];
}

/** Where the saving counts: on disk, and while running. */
function effect(config: QuantizeConfig): string {
  switch (config.mode) {
    case 'dynamic':
    case 'static':
      return 'Bytes are saved on disk and in memory; whether it runs faster depends on the CPU: see the benchmark.';
    case 'fp16':
      return 'Bytes are saved on disk only: ONNX Runtime makes the weights float32 when it loads the model.';
    case 'weight-only':
      return weightSettings(config).bits === 6
        ? 'On disk weights take 6 bits; ONNX Runtime unpacks them to 8 bits when it loads the model and runs it as such.'
        : 'Bytes are saved on disk and in memory; whether it runs faster depends on shape and CPU: see the benchmark.';
  }
}

/** Curves of the training with quantization in the graph. */
export function trainingSections({ lossCurve, scoreCurve, metric }: QuantizedTraining): ReportSection[] {
  const curve = (title: string, x: string, y: string, points: QuantizedTraining['lossCurve']): ReportSection => ({
    kind: 'curve',
    title,
    x,
    y,
    series: [{ name: y, points: points.map(([at, value]) => [at, value]) }],
    marks: [],
  });
  return [
    curve('Training loss with quantization in the graph', 'step', 'loss', lossCurve),
    ...(scoreCurve.length > 0 ? [curve('Score on the dev split', 'epoch', metric, scoreCurve)] : []),
  ];
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
