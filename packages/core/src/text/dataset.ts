/** @file The one form in which stages read data: a folder of dataset.json and one JSONL file per split. */
import { z } from 'zod';

/** One example; exactly the fields of the data set's kind are present. */
export interface Example {
  readonly text: string;
  /** Second text of a pair task. */
  readonly pair?: string;
  /** Label name (classification) or number (regression). */
  readonly label?: string | number;
  /** Reference output of a generation pair. */
  readonly target?: string;
}

export const DATASET_KINDS = [
  'classification',
  'pair-classification',
  'regression',
  'generation',
  'unlabelled',
] as const;
export type DatasetKind = (typeof DATASET_KINDS)[number];

export const SPLITS = ['train', 'dev', 'test'] as const;
export type Split = (typeof SPLITS)[number];

const splitStatistics = z.object({
  rows: z.int(),
  /** Characters of the text (both texts of a pair): median, 95th percentile, longest. */
  characters: z.object({ p50: z.int(), p95: z.int(), max: z.int() }),
  /** Rows by label name, for classification. */
  labels: z.record(z.string(), z.int()).optional(),
  emptyTexts: z.int(),
  duplicates: z.int(),
});

/** dataset.json. */
export const datasetInfoSchema = z
  .object({
    format: z.literal(1),
    name: z.string(),
    kind: z.enum(DATASET_KINDS),
    /**
     * Label names of the train split in class-index order (sorted, unless the source states an order). Empty when there
     * are none. Other splits may hold further labels, which a warning names.
     */
    labels: z.array(z.string()),
    splits: z.partialRecord(z.enum(SPLITS), splitStatistics),
    /** Things a user should know: imbalance, texts in two splits, unseen labels. */
    warnings: z.array(z.string()),
  })
  .meta({ id: 'DatasetInfo' });
export type DatasetInfo = z.infer<typeof datasetInfoSchema>;
