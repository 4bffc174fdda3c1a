/** @file Measurements and report sections of the distill stage. */
import { bundleBytes, readManifest } from '../bundle';
import type { DistillResult, PartName, PartResult } from '../distill/parts';
import type { Measurement, ReportSection } from '../report/measurement';
import { candidateFigure } from './candidate-figure';

const TITLES: Readonly<Record<PartName, string>> = { distill: 'Distillation', fineTune: 'Fine-tuning' };

export async function distillReport(
  teacherFolder: string,
  studentFolder: string,
  { bundle, parts, kept, transfer }: DistillResult,
): Promise<{ measurements: Measurement[]; sections: ReportSection[] }> {
  const teacher = await readManifest(teacherFolder);
  const { parameters } = bundle.manifest;
  const [before, after] = [(await bundleBytes(teacherFolder)).model, (await bundleBytes(studentFolder)).model];
  const chosen = parts.find(({ name }) => name === kept);
  return {
    measurements: [
      ...Object.entries(chosen?.dev ?? {}).map(([metric, value]) =>
        candidateFigure(metric, value, 'ratio', { split: 'dev' }),
      ),
      candidateFigure('parameters.total', parameters.total, 'count'),
      candidateFigure('bytes.model', after, 'bytes'),
      candidateFigure('train.seconds', total(parts, 'seconds'), 's'),
      candidateFigure('train.steps', total(parts, 'steps'), 'count'),
    ],
    sections: [
      {
        kind: 'table',
        title: 'Teacher and student',
        columns: ['', 'teacher', 'student', 'kept'],
        rows: [
          row('parameters', teacher.parameters.total, parameters.total),
          row('parameters without embeddings', withoutEmbeddings(teacher), withoutEmbeddings(bundle.manifest)),
          row('bytes of the model', before, after),
        ],
      },
      {
        kind: 'table',
        title: 'Transfer texts',
        columns: ['', 'texts'],
        rows: [
          ['training texts', transfer.training],
          ['unlabelled texts', transfer.unlabelled],
          ['made-up texts', transfer.augmented],
        ],
      },
      ...(parts.some(({ dev }) => dev) ? [choice(parts, kept)] : []),
      ...parts.flatMap(curves),
    ],
  };
}

const total = (parts: readonly PartResult[], field: 'seconds' | 'steps'): number =>
  parts.reduce((sum, part) => sum + part[field], 0);

const withoutEmbeddings = ({ parameters }: { parameters: { total: number; embeddings: number } }): number =>
  parameters.total - parameters.embeddings;

const row = (what: string, before: number, after: number): (string | number)[] => [
  what,
  before,
  after,
  `${((100 * after) / before).toFixed(1)} %`,
];

function choice(parts: readonly PartResult[], kept: PartName): ReportSection {
  return {
    kind: 'table',
    title: 'On the dev split',
    columns: ['after', 'figure', 'value', ''],
    rows: parts.map(({ name, metric, dev }) => [
      TITLES[name],
      metric,
      dev?.[metric]?.toFixed(4) ?? null,
      name === kept ? 'kept' : '',
    ]),
    note: 'Fine-tuning on labels can hurt a distilled student, so the better of both is kept.',
  };
}

function curves({ name, lossCurve, scoreCurve, metric }: PartResult): ReportSection[] {
  const curve = (what: string, x: string, y: string, points: PartResult['lossCurve']): ReportSection => ({
    kind: 'curve',
    title: `${TITLES[name]}: ${what}`,
    x,
    y,
    series: [{ name: y, points: points.map(([at, value]) => [at, value]) }],
    marks: [],
  });
  return [
    ...(scoreCurve.length > 0 ? [curve('score on the dev split', 'epoch', metric, scoreCurve)] : []),
    curve('training loss', 'step', 'loss', lossCurve),
  ];
}
