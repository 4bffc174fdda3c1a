/** @file What can be refused before a distillation is queued. */
import type { Manifest } from '../bundle/manifest';
import { MAX_NGRAMS } from '../dan/bundle';
import type { Issue, OnQuantized, StagePreview } from '../stages/stage';
import type { DistillConfig } from './config';
import { cannotTeach, weightsProblem } from './teachers';

export function distillIssues(config: DistillConfig, { model, datasets, teachers = [] }: StagePreview): Issue[] {
  const { student, mode } = config;
  const { data, unlabelled } = datasets;
  const issues: Issue[] = [];
  const issue = (path: string, code: string, message: string): void => void issues.push({ path, code, message });
  if (data && mode === 'standard' && !data.splits.train) {
    issue('', 'no-train-split', `The data set "${data.name}" has no train split.`);
  }
  if (mode === 'private' && data && !unlabelled) {
    issue('mode', 'no-unlabelled', 'Private distillation learns from unlabelled texts, and none are given.');
  }
  if (unlabelled && !unlabelled.splits.train) {
    issue('', 'no-train-split', `The data set "${unlabelled.name}" has no train split.`);
  }
  if (student.type === 'dan' && student.minOrder > student.maxOrder) {
    issue('student.minOrder', 'above-maximum', 'minOrder is above maxOrder.');
  }
  if (student.type === 'dan') {
    for (const path of danRefuses(config)) issue(path, 'dan-setting', `A DAN cannot be trained with "${path}".`);
  }
  if (config.match.hidden > 0 || config.match.attention > 0) {
    const follows = student.type === 'layers' || (student.type === 'transformer' && student.vocabulary === undefined);
    const message = "Only a transformer that reads the teacher's tokens can follow its layers.";
    if (!follows) issue('match', 'match-student', message);
  }
  if (student.type === 'model' && config.original > 0) {
    issue('original', 'only-teacher', 'The original model is the only teacher of the student "model".');
  }
  const weights = weightsProblem(config, teachers.length);
  if (weights) issue('teacherWeights', 'teacher-weights', weights);
  for (const teacher of teachers) cannotTeach(teacher).forEach((problem) => issue('', problem.code, problem.message));
  // What teaches the student "model" is the original, of which nothing is known here.
  if (!model || student.type === 'model') return issues;
  for (const problem of cannotTeach(model)) issue('', problem.code, problem.message);
  if (!model.components.some(({ component }) => component === 'embeddings')) {
    for (const [path, instead] of readsWordVectors(config)) {
      issue(path, 'no-word-vectors', `"${model.name}" has no known word vectors, which this needs: ${instead}.`);
    }
  }
  if (student.type === 'layers') {
    const depth = model.structure?.layers.length ?? 0;
    student.keep.forEach((layer, i) => {
      if (layer >= depth) issue(`student.keep[${i}]`, 'no-such-layer', `The teacher has ${depth} layers.`);
    });
  }
  return issues;
}

/** A quantized model can teach by its answers; what is read from its weights, or made of them, must be float. */
export function onQuantizedTeacher(config: DistillConfig): OnQuantized {
  const { student, match } = config;
  if (student.type === 'model' || student.type === 'layers') {
    return { refuses: 'distill the float model it was made from, then quantize the student' };
  }
  const readers = [
    ...readsWordVectors(config).map(([path]) => path),
    ...(match.hidden > 0 || match.attention > 0 ? ['match'] : []),
  ];
  if (readers.length === 0) return 'replaces';
  return { refuses: `${readers.join(' and ')} would read its weights; let the float model it was made from teach` };
}

/** A DAN has one graph whatever its settings; nothing is known of other students before they are made. */
export function distilledManifest({ student }: DistillConfig, teacher: Manifest): Manifest | undefined {
  if (student.type !== 'dan') return undefined;
  const { codebooks: _, structure: __, native: ___, ...kept } = teacher;
  const embeddings = student.ngrams * student.dimension;
  return {
    ...kept,
    architecture: 'dan',
    inputs: ['input_ids', 'attention_mask'],
    maxLength: MAX_NGRAMS,
    tokenizer: { kind: 'ngram', padId: 0 },
    components: [
      { component: 'embeddings', weight: 'embedding.weight' },
      { component: 'W_P', weight: 'dense.weight' },
      { component: 'classifier', weight: 'classifier.weight' },
    ],
    parameters: { total: embeddings, embeddings },
    provenance: [...teacher.provenance, { step: 'distill', detail: { student: 'dan' } }],
  };
}

/** Settings that read the teacher's word vectors, and what to set without them. */
function readsWordVectors({ student, augment, mode }: DistillConfig): [path: string, instead: string][] {
  const found: [string, string][] = [];
  if (student.type === 'dan' && student.start === 'teacher') found.push(['student.start', 'set it to "random"']);
  const replaces = mode === 'standard' && augment.texts > 0 && augment.by.includes('replace');
  if (replaces) found.push(['augment.by', 'leave "replace" out']);
  return found;
}

/** Training settings away from their defaults that the DAN's own loop does not have. */
function danRefuses({
  accumulate,
  labelSmoothing,
  classWeights,
  metric,
  keepBest,
  evaluateEverySteps,
}: DistillConfig): string[] {
  const refused = {
    accumulate: accumulate !== 1,
    labelSmoothing: labelSmoothing !== 0,
    classWeights: classWeights !== 'none',
    metric: metric !== undefined && metric !== 'accuracy',
    keepBest: !keepBest,
    evaluateEverySteps: evaluateEverySteps !== undefined,
  };
  return Object.entries(refused).flatMap(([path, isRefused]) => (isRefused ? [path] : []));
}
