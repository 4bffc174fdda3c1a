/** @file Which figures the evaluate stage gives for each task. */
import type { Task } from '../bundle/manifest';
import type { DatasetKind } from '../text/dataset';

const CLASSIFICATION = ['accuracy', 'macroF1', 'microF1', 'mcc', 'ece', 'loss'] as const;
const LANGUAGE = ['perplexity', 'loss'] as const;
/** Of answers to prompts, so only with generation data. */
const GENERATION = ['bleu', 'rougeL'] as const;

const TASK_METRICS: Readonly<Record<Task, readonly string[]>> = {
  classification: CLASSIFICATION,
  'pair-classification': CLASSIFICATION,
  regression: ['pearson', 'spearman', 'mse', 'mae'],
  'masked-lm': LANGUAGE,
  'causal-lm': LANGUAGE,
  embedding: [],
};

/** Figures of a task; `kind` of the data set where it is known. */
export const metricsOf = (task: Task, kind?: DatasetKind): readonly string[] =>
  task === 'causal-lm' && kind === 'generation' ? [...LANGUAGE, ...GENERATION] : TASK_METRICS[task];

/** Figures between 0 and 1, of which 0.01 is one point. */
const SHARES: ReadonlySet<string> = new Set(['accuracy', 'macroF1', 'microF1', 'ece']);

export const isShare = (metric: string): boolean => SHARES.has(metric);

/** Every figure that some task has. */
export const ALL_METRICS: readonly string[] = [...new Set([...Object.values(TASK_METRICS).flat(), ...GENERATION])];
