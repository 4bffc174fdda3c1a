/** @file A report with every kind of content, for tests. */
import { buildReport, type ReportInput } from './build';
import type { Environment, Measurement } from './measurement';
import type { Report } from './report';

const environment: Environment = {
  cpu: 'AMD EPYC 9B14',
  cores: 4,
  cpuFlags: ['avx2', 'avx512f', 'avx512_vnni', 'avx512_bf16'],
  memoryBytes: 16e9,
  os: 'Linux 6.1',
  node: '22.13.0',
  runtime: 'onnxruntime 1.30.0',
  device: 'cpu',
  threads: 1,
};

type Figure = readonly [
  metric: string,
  unit: string,
  baseline: number,
  candidate: number,
  context?: Measurement['context'],
];

const measured = (...figures: readonly Figure[]): Measurement[] =>
  figures.flatMap(([metric, unit, baseline, candidate, context = {}]) => [
    { metric, unit, context, subject: 'baseline' as const, value: baseline, environment },
    { metric, unit, context, subject: 'candidate' as const, value: candidate, environment },
  ]);

const latency = (batch: number, sequence: number, baseline: number, candidate: number): Figure[] => [
  ['latency.p50', 'ms', baseline, candidate, { batch, sequence }],
  ['latency.p95', 'ms', baseline * 1.2, candidate * 1.3, { batch, sequence }],
];

const steps = Array.from({ length: 60 }, (_, i) => i * 25);

export const REPORT_INPUT: ReportInput = {
  job: {
    id: '0199f3a2-1d5c-7c11-8a43-5a7b8f0e1c22',
    name: 'Support intents: prune 60 % and quantize',
    state: 'succeeded',
    createdAt: '2026-11-22T09:12:03Z',
    startedAt: '2026-11-22T09:12:04Z',
    finishedAt: '2026-11-22T09:31:47Z',
  },
  model: { name: 'support-bert-mini', architecture: 'bert', parameters: 11_171_073 },
  datasets: [{ role: 'data', name: 'support-intents', rows: { train: 3204, dev: 402, test: 401 } }],
  recipe: {
    name: 'prune-and-quantize',
    seed: 7,
    stages: [
      { id: 'prune', type: 'prune', config: { target: 0.6 } },
      { id: 'quantize', type: 'quantize', config: {} },
      { id: 'evaluate', type: 'evaluate', config: {} },
      { id: 'benchmark', type: 'benchmark', config: {} },
    ],
    goals: { maxDrop: { metric: 'accuracy', absolute: 0.01 }, minSpeedup: 2, maxBytes: 12_000_000 },
  },
  stages: [
    {
      id: 'prune',
      type: 'prune',
      makesModel: true,
      state: 'succeeded',
      seconds: 1012.4,
      attempts: 2,
      reused: false,
      config: { target: 0.6, granularity: 'neuron', schedule: { kind: 'cubic', steps: 10 } },
      measurements: [
        { metric: 'accuracy', unit: 'ratio', value: 0.928, subject: 'candidate', context: { split: 'dev' } },
      ],
      sections: [
        {
          kind: 'curve',
          title: 'Accuracy through pruning and recovery',
          x: 'step',
          y: 'accuracy',
          series: [
            {
              name: 'dev accuracy',
              points: steps.map((x) => [x, 0.93 - 0.12 * Math.exp(-(((x - 700) / 180) ** 2)) - 0.004]),
            },
            { name: 'train accuracy', points: steps.map((x) => [x, 0.96 - 0.1 * Math.exp(-(((x - 690) / 200) ** 2))]) },
          ],
          marks: [
            { x: 750, label: 'pruning ends' },
            { x: 100, label: 'warm-up ends' },
          ],
        },
        {
          kind: 'heatmap',
          title: 'Sparsity by layer and component',
          rows: ['layer 0', 'layer 1', 'layer 2', 'layer 3'],
          columns: ['W_Q', 'W_K', 'W_V', 'W_AO', 'W_I', 'W_O'],
          values: [
            [0.42, 0.44, 0.21, 0.2, 0.71, 0.7],
            [0.55, 0.57, 0.33, 0.3, 0.66, 0.64],
            [0.8, 0.82, 0.4, 0.41, 0.59, 0.6],
            [1, 1, 0.52, 0.5, 0.48, null],
          ],
          unit: 'ratio',
        },
      ],
      warnings: ['3 of 16 heads attend uniformly after pruning <W_Q at 100 %>.'],
    },
    {
      id: 'quantize',
      type: 'quantize',
      from: 'prune',
      makesModel: true,
      state: 'succeeded',
      seconds: 3.2,
      attempts: 1,
      reused: true,
      config: {},
      measurements: [],
      sections: [
        {
          kind: 'text',
          title: 'What was quantized',
          text: '25 matrices and 3 embeddings.\n\nLayerNorm stays in fp32.',
        },
      ],
      warnings: [],
    },
    {
      id: 'evaluate',
      type: 'evaluate',
      from: 'quantize',
      makesModel: false,
      state: 'succeeded',
      seconds: 8.9,
      attempts: 1,
      reused: false,
      config: { split: 'test' },
      measurements: measured(
        ['accuracy', 'ratio', 0.9312, 0.9262, { split: 'test' }],
        ['macroF1', 'ratio', 0.9254, 0.9187, { split: 'test' }],
      ).map((one) => ({ ...one, interval: [one.value - 0.021, one.value + 0.019] as [number, number] })),
      sections: [
        {
          kind: 'table',
          title: 'By class',
          columns: ['Label', 'Rows', 'Precision', 'Recall', 'F1'],
          rows: [
            ['card_lost', 21, 0.95, 0.9, 0.924],
            ['refund_status', 18, 0.89, 0.94, 0.914],
            ['out_of_scope', 30, null, 0.8, null],
          ],
          note: 'Three of 20 classes.',
        },
      ],
      warnings: [],
    },
    {
      id: 'benchmark',
      type: 'benchmark',
      from: 'quantize',
      makesModel: false,
      state: 'succeeded',
      seconds: 44,
      attempts: 1,
      reused: false,
      config: {},
      measurements: measured(
        ['bytes.model', 'bytes', 44_812_331, 7_402_118],
        ['parameters', 'count', 11_171_073, 6_120_433],
        ['memory.peak', 'bytes', 182e6, 96e6],
        ...latency(1, 32, 4.31, 1.52),
        ...latency(1, 128, 13.9, 5.61),
        ...latency(8, 32, 24.2, 10.3),
        ...latency(8, 128, 103.7, 44.9),
      ),
      sections: [],
      warnings: ['Another process used 12 % of the machine while measuring.'],
    },
  ],
};

export const REPORT: Report = buildReport(REPORT_INPUT);
