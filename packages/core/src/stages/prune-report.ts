/** @file Measurements and report sections of the prune stage. */
import { join } from 'node:path';
import { bundleBytes, MODEL_FILE } from '../bundle';
import type { Bundle, Manifest } from '../bundle';
import type { Scores } from '../finetune/score';
import type { TrainingOutcome } from '../finetune/train-on';
import type { PruneConfig } from '../prune/config';
import type { LayerKind } from '../prune/neurons';
import { SPARSE_FILE, writeSparseFile } from '../prune/sparse-file';
import type { StructuredResult } from '../prune/structured-run';
import type { UnstructuredResult } from '../prune/unstructured-run';
import type { Measurement, ReportSection } from '../report/measurement';
import { candidateFigure } from './candidate-figure';
import { recoveryFigures } from './recovery-report';

interface Report {
  readonly measurements: Measurement[];
  readonly sections: ReportSection[];
}

/** The model that was pruned. */
export interface Before {
  readonly bundle: Bundle;
  readonly folder: string;
}

const body = ({ parameters }: Manifest): number => parameters.total - parameters.embeddings;

/** Sizes before and after, as figures and as a table. */
async function sizes(
  before: Before,
  afterFolder: string,
  after: Manifest,
  note: string,
): Promise<{ figures: Measurement[]; table: ReportSection }> {
  const { manifest } = before.bundle;
  const bytes = { before: (await bundleBytes(before.folder)).model, after: (await bundleBytes(afterFolder)).model };
  const row = (what: string, old: number, now: number): (string | number)[] => {
    const kept = old === 0 ? '' : `${((100 * now) / old).toFixed(1)} %`;
    return [what, old, now, kept];
  };
  const old = manifest.structure;
  const now = after.structure;
  return {
    figures: [
      candidateFigure('parameters.total', after.parameters.total, 'count'),
      candidateFigure('parameters.withoutEmbeddings', body(after), 'count'),
      candidateFigure('bytes.model', bytes.after, 'bytes'),
    ],
    table: {
      kind: 'table',
      title: 'What was removed',
      columns: ['', 'before', 'after', 'kept'],
      rows: [
        row('parameters', manifest.parameters.total, after.parameters.total),
        row('parameters without embeddings', body(manifest), body(after)),
        ...(old && now
          ? [row('hidden dimensions', old.hidden, now.hidden), row('vocabulary', old.vocabulary, now.vocabulary)]
          : []),
        row('bytes of model.onnx', bytes.before, bytes.after),
      ],
      note,
    },
  };
}

const SPELT =
  'Texts of known words give the same logits as before. Words that the data set does not have are spelt in smaller pieces, or are unknown.';

/** Of a run that only cut the vocabulary. */
export async function vocabularyReport(before: Before, afterFolder: string, after: Manifest): Promise<Report> {
  const { figures, table } = await sizes(before, afterFolder, after, SPELT);
  return { measurements: figures, sections: [table] };
}

/** What a layer's neurons are columns of. */
const REMOVED_FROM: Readonly<Record<LayerKind, string>> = {
  query: 'W_Q, W_K',
  value: 'W_V',
  attentionOutputs: 'W_AO',
  ffn: 'W_I',
  ffnOutputs: 'W_O',
};

export async function structuredReport(before: Before, afterFolder: string, result: StructuredResult): Promise<Report> {
  const note =
    'Query and key dimensions go in pairs. With `heads: padded`, heads left unequal are filled up to the largest of their layer, which gives back much of the saving.';
  const { figures, table } = await sizes(before, afterFolder, result.bundle.manifest, note);
  const isOutput = (kind: string): boolean => kind === 'attentionOutputs' || kind === 'ffnOutputs';
  const shown = (Object.keys(REMOVED_FROM) as LayerKind[]).filter(
    (kind) => !isOutput(kind) || result.removed.some((shares) => shares[kind] > 0),
  );
  return {
    measurements: [...recoveryFigures(result), ...figures],
    sections: [
      table,
      {
        kind: 'heatmap',
        title: 'Share removed by layer',
        rows: result.removed.map((_, layer) => `layer ${layer}`),
        columns: shown.map((kind) => REMOVED_FROM[kind]),
        values: result.removed.map((shares) => shown.map((kind) => shares[kind])),
        unit: 'ratio',
      },
      ...curves(result, result.recoveryFrom),
    ],
  };
}

/** Of the dense model on the dev split. */
export const denseFigures = (scores: Scores | undefined): Measurement[] =>
  Object.entries(scores ?? {}).map(([metric, value]) => ({
    ...candidateFigure(metric, value, 'ratio', { split: 'dev' }),
    subject: 'baseline',
  }));

/** What zeros buy at run time, and what they do not. */
const BOUGHT = {
  weight:
    'Single zeros change neither the size in memory nor the speed in ONNX Runtime. They are worth their place in a file.',
  'n-of-m':
    'ONNX Runtime multiplies the zeros of this pattern like any other number; GPUs with sparse tensor cores can skip them after a conversion of their own.',
  block:
    'ONNX Runtime multiplies zero blocks like any other; kernels that read blocks can skip them and keep their speed from about 80 % zeros on.',
} as const;

/** Writes model.sparse beside model.onnx and reports both. */
export async function unstructuredReport(
  config: PruneConfig,
  afterFolder: string,
  result: UnstructuredResult,
): Promise<Report & { warnings: string[] }> {
  const { granularity } = config;
  const tile = granularity.type === 'block' ? granularity : { rows: 1, columns: 1 };
  const bytes = (await bundleBytes(afterFolder)).model;
  const compressed = await writeSparseFile(join(afterFolder, SPARSE_FILE), result.bundle.model, tile);
  const zeros = mean(result.sparsity.map((entry) => entry.zeros));
  const components = [...new Set(result.sparsity.map(({ component }) => component))];
  const layers = [...new Set(result.sparsity.map(({ layer }) => layer))];
  const at = (layer: number, component: string): number | null =>
    result.sparsity.find((entry) => entry.layer === layer && entry.component === component)?.zeros ?? null;
  return {
    measurements: [
      ...recoveryFigures(result),
      candidateFigure('parameters.total', result.bundle.manifest.parameters.total, 'count'),
      candidateFigure('sparsity', zeros, 'ratio'),
      candidateFigure('bytes.model', bytes, 'bytes'),
      candidateFigure('bytes.compressed', compressed, 'bytes'),
    ],
    sections: [
      {
        kind: 'table',
        title: 'Size',
        columns: ['', 'bytes', 'for'],
        rows: [
          [MODEL_FILE, bytes, 'running: zeros take the room and the time of any other number'],
          [SPARSE_FILE, compressed, 'storing and sending: the same model, bit for bit'],
        ],
        note: BOUGHT[granularity.type === 'block' ? 'block' : granularity.type === 'n-of-m' ? 'n-of-m' : 'weight'],
      },
      {
        kind: 'heatmap',
        title: 'Share of zeros',
        rows: layers.map((layer) => (layer < 0 ? 'outside layers' : `layer ${layer}`)),
        columns: components,
        values: layers.map((layer) => components.map((component) => at(layer, component))),
        unit: 'ratio',
      },
      ...curves(result, result.recoveryFrom),
    ],
    warnings: ['Single weights were pruned: expect no speed-up in ONNX Runtime. Prune neurons or heads for speed.'],
  };
}

function curves(outcome: Omit<TrainingOutcome, 'trainer'>, recoveryFrom: number): ReportSection[] {
  const { lossCurve, scoreCurve, metric, stepsPerEpoch } = outcome;
  const mark = (x: number): { x: number; label: string }[] => (recoveryFrom > 0 ? [{ x, label: 'recovery' }] : []);
  const points = (curve: TrainingOutcome['lossCurve']): [number, number][] => curve.map(([x, y]) => [x, y]);
  return [
    ...(scoreCurve.length > 0
      ? [
          {
            kind: 'curve' as const,
            title: 'Score on the dev split through pruning and recovery',
            x: 'epoch',
            y: metric,
            series: [{ name: metric, points: points(scoreCurve) }],
            marks: mark(recoveryFrom),
          },
        ]
      : []),
    {
      kind: 'curve',
      title: 'Training loss',
      x: 'step',
      y: 'loss',
      series: [{ name: 'loss', points: points(lossCurve) }],
      marks: mark(recoveryFrom * stepsPerEpoch),
    },
  ];
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
