/** @file Who teaches: the input model, the job's further teachers and its original model, each with its share. */
import { readBundle } from '../bundle';
import type { Bundle, Manifest } from '../bundle';
import { readsTokens } from '../bundle/bundle';
import { invalid, unsupported } from '../errors';
import type { StageContext } from '../stages/stage';
import type { DatasetInfo } from '../text';
import type { DistillConfig } from './config';

export interface Teacher {
  readonly folder: string;
  readonly bundle: Bundle;
  /** Share of its logits among all teachers'. */
  readonly weight: number;
}

/** A model that is to teach, and the field that brought it here. */
interface Candidate {
  readonly folder: string;
  readonly weight: number;
  readonly field: string;
}

/**
 * The first teacher says which classes there are and lends its word vectors: the input model or, where that is the
 * student itself, the original one.
 * @throws invalid `distill.no-original`, `distill.labels`, `distill.teacher-weights`, and what `requireTeacher` throws
 */
export async function readTeachers(
  config: DistillConfig,
  context: Pick<StageContext, 'baseline' | 'teachers'> & { readonly model: string },
  data: DatasetInfo | undefined,
): Promise<readonly [Teacher, ...Teacher[]]> {
  const [main, ...others] = candidates(config, context);
  const first = await readTeacher(main, data);
  const all: [Teacher, ...Teacher[]] = [first];
  for (const each of others) {
    const teacher = await readTeacher(each, data);
    const unknown = first.bundle.labels.filter((label) => !teacher.bundle.labels.includes(label));
    if (unknown.length > 0) {
      const names = unknown.slice(0, 5).join(', ');
      const message = `"${teacher.bundle.manifest.name}" does not know the labels ${names}, so it cannot teach beside.`;
      throw invalid('distill.labels', message, { field: each.field });
    }
    all.push(teacher);
  }
  return all;
}

function candidates(
  { student, original, teacherWeights }: DistillConfig,
  { model, baseline, teachers = [] }: Pick<StageContext, 'baseline' | 'teachers'> & { readonly model: string },
): [Candidate, ...Candidate[]] {
  const problem = weightsProblem({ teacherWeights }, teachers.length);
  if (problem) throw invalid('distill.teacher-weights', problem, { field: 'teacherWeights' });
  const isStudent = student.type === 'model';
  if (baseline === undefined && (isStudent || original > 0)) {
    throw invalid('distill.no-original', 'The job has no original model that could teach.', {
      field: isStudent ? 'student' : 'original',
    });
  }
  const further = teachers.map((folder, i) => ({
    folder,
    weight: teacherWeights?.[i] ?? 1,
    field: `teacherIds[${i}]`,
  }));
  const main = isStudent
    ? { folder: baseline!, weight: 1, field: 'student' }
    : { folder: model, weight: 1, field: 'model' };
  if (isStudent || original === 0) return [main, ...further];
  // original / (1 - original) of what all others weigh together: its share of the whole is then `original`.
  const sum = further.reduce((total, { weight }) => total + weight, main.weight);
  return [main, ...further, { folder: baseline!, weight: (sum * original) / (1 - original), field: 'original' }];
}

/** What is wrong with the number of weights, or undefined. */
export const weightsProblem = (
  { teacherWeights }: Pick<DistillConfig, 'teacherWeights'>,
  teachers: number,
): string | undefined =>
  teacherWeights && teacherWeights.length !== teachers
    ? `teacherWeights has ${teacherWeights.length} numbers, and the job has ${teachers} further teachers.`
    : undefined;

/** Why a model cannot teach, whatever the data. */
export function cannotTeach(
  manifest: Manifest,
): { readonly code: 'task' | 'no-tokenizer'; readonly message: string }[] {
  const { name, task } = manifest;
  const isClassifier = task === 'classification' || task === 'pair-classification';
  const notTask = { code: 'task', message: `Only classifiers can teach; "${name}" does ${task}.` } as const;
  const noTokens = {
    code: 'no-tokenizer',
    message: `The model "${name}" cannot teach: it does not read tokens.`,
  } as const;
  return [...(isClassifier ? [] : [notTask]), ...(readsTokens(manifest) ? [] : [noTokens])];
}

/** @throws unsupported `distill.task`, invalid `distill.labels`, `distill.no-train-split`, `distill.tokenizer` */
async function readTeacher({ folder, weight, field }: Candidate, data: DatasetInfo | undefined): Promise<Teacher> {
  const bundle = await readBundle(folder);
  const { manifest, labels } = bundle;
  const [problem] = cannotTeach(manifest);
  if (problem?.code === 'task') throw unsupported('distill.task', problem.message, { field });
  if (problem) throw invalid('distill.tokenizer', problem.message, { field });
  if (data && !data.splits.train) {
    throw invalid('distill.no-train-split', `The data set "${data.name}" has no train split to learn from.`, {
      field: 'datasets.data',
    });
  }
  const missing = data?.labels.filter((label) => !labels.includes(label)) ?? [];
  if (missing.length === 0) return { folder, bundle, weight };
  throw invalid(
    'distill.labels',
    `The teacher "${manifest.name}" does not know the labels ${missing.slice(0, 5).join(', ')}: fine-tune it on this data first.`,
    { field: 'datasets.data' },
  );
}
