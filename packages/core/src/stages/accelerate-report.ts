/** @file What the accelerate stage tells people. */
import type { Measurement, ReportSection } from '../report/measurement';
import type { AcceleratedWeight, ProductForm } from '../sparse';
import type { AccelerateConfig } from './accelerate';

export const accelerateMeasurements = (difference: number): Measurement[] => [
  { metric: 'native.difference', value: difference, unit: 'ratio', subject: 'comparison', context: {} },
];

export function accelerateSections(
  weights: readonly AcceleratedWeight[],
  { batch, sequence }: AccelerateConfig,
  difference: number,
): ReportSection[] {
  return [
    {
      kind: 'table',
      title: 'Forms of the products',
      columns: [
        'Weight',
        'Inputs × outputs',
        'Zeros',
        'Form',
        'fp32',
        'int8',
        '1x16',
        '1x16 int8',
        '4x1',
        'Unstructured',
      ],
      rows: weights.map((weight) => [
        nameOf(weight),
        weight.dims.join(' × '),
        `${(100 * weight.sparsity).toFixed(1)} %`,
        weight.form,
        ...COLUMNS.map((form) => milliseconds(weight, form)),
      ]),
      note: `Median milliseconds of one product at batch ${batch}, ${sequence} tokens, all forms in turns in the native runtime; weights of equal size and density were timed once. A form that stores over half of the weight, or cannot pay, was not tried.`,
    },
    {
      kind: 'text',
      title: 'Answers',
      text: `On made-up texts the answers of native.onnx differ from those of model.onnx by at most ${difference.toExponential(1)} of the largest answer.`,
    },
  ];
}

const COLUMNS: readonly ProductForm[] = ['fp32', 'int8', '1x16', '1x16-int8', '4x1', 'unstructured'];

const nameOf = ({ weight, component, layer }: AcceleratedWeight): string =>
  component === undefined ? weight : layer === undefined ? component : `layer ${layer} ${component}`;

function milliseconds({ milliseconds: times }: AcceleratedWeight, form: ProductForm): string | null {
  const time = times.get(form);
  return time === undefined ? null : time.toFixed(3);
}

export function accelerateWarnings(weights: readonly AcceleratedWeight[]): string[] {
  if (weights.some(({ form }) => form !== 'fp32')) return [];
  const highest = Math.max(0, ...weights.map(({ sparsity }) => sparsity));
  return [
    `No product is faster in another form: the sparsest weight has ${(100 * highest).toFixed(0)} % zeros. Prune in blocks of 1x16 or 4x1 to 80 % or more (stage prune, granularity block), or allow int8.`,
  ];
}
