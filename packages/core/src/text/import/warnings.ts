import { invalid } from '../../errors';
import { SPLITS } from '../dataset';
import type { DatasetKind, Split } from '../dataset';
import type { SplitWriter } from './split-writer';

type Writers = Readonly<Partial<Record<Split, SplitWriter>>>;

/** Most classes of a classification data set: more are free text or numbers in the label column. */
const MAX_LABELS = 10_000;
/** Ratio of the largest to the smallest class from which a data set counts as imbalanced. */
const IMBALANCE = 10;

/**
 * Label names in class order: those of the train split, in the order that the source states, else sorted (numbers by
 * value).
 * @throws ModelpressError `dataset.one-label`, `dataset.too-many-labels`.
 */
export function classLabels(writers: Writers, kind: DatasetKind, stated: readonly string[] | undefined): string[] {
  if (kind !== 'classification' && kind !== 'pair-classification') return [];
  const used = [...(writers.train?.labels.keys() ?? [])];
  if (used.length < 2) {
    throw invalid('dataset.one-label', `All training rows have the label ${used[0]}: there is nothing to classify.`, {
      field: 'mapping.label',
    });
  }
  if (used.length > MAX_LABELS) {
    throw invalid(
      'dataset.too-many-labels',
      `The label column has ${used.length} values; at most ${MAX_LABELS} are classes.`,
      {
        field: 'mapping.label',
      },
    );
  }
  if (stated && used.every((label) => stated.includes(label))) return [...stated];
  return used.every((label) => /^-?\d+$/.test(label)) ? used.sort((a, b) => Number(a) - Number(b)) : used.sort();
}

/** What a user should know of the data. */
export function dataWarnings(writers: Writers, labels: readonly string[]): string[] {
  const warnings: string[] = [];
  const known = new Set(labels);
  for (const split of SPLITS) {
    const writer = writers[split];
    if (!writer) continue;
    const { emptyTexts, duplicates } = writer.statistics();
    if (emptyTexts > 0) warnings.push(`${emptyTexts} of ${writer.rows} ${split} texts are empty.`);
    if (duplicates > 0) warnings.push(`${duplicates} of ${writer.rows} ${split} rows occur more than once.`);
    const unseen = [...writer.labels.keys()].filter((label) => !known.has(label));
    if (unseen.length > 0 && known.size > 0) warnings.push(unseenWarning(writer, split, unseen));
  }
  warnings.push(...overlapWarnings(writers), ...imbalanceWarnings(writers.train));
  return warnings;
}

function unseenWarning(writer: SplitWriter, split: Split, unseen: readonly string[]): string {
  const rows = unseen.reduce((sum, label) => sum + (writer.labels.get(label) ?? 0), 0);
  const shown = unseen.slice(0, 10).join(', ');
  return `${rows} ${split} rows have labels that the train split lacks (${shown}${unseen.length > 10 ? ', ...' : ''}); they count as errors.`;
}

function overlapWarnings({ train, dev, test }: Writers): string[] {
  const overlap = (split: string, writer: SplitWriter | undefined, other: string, base: SplitWriter | undefined) => {
    const count = writer && base ? writer.hashes.countIn(base.hashes) : 0;
    return count > 0 ? [`${count} of ${writer?.rows} ${split} rows also occur in ${other}.`] : [];
  };
  return [
    ...overlap('dev', dev, 'train', train),
    ...overlap('test', test, 'train', train),
    ...overlap('test', test, 'dev', dev),
  ];
}

function imbalanceWarnings(train: SplitWriter | undefined): string[] {
  const counts = [...(train?.labels ?? [])].sort(([, a], [, b]) => a - b);
  const [smallest, largest] = [counts[0], counts.at(-1)];
  if (!smallest || !largest || largest[1] < IMBALANCE * smallest[1]) return [];
  return [`Classes are imbalanced: ${smallest[0]} has ${smallest[1]} training rows, ${largest[0]} ${largest[1]}.`];
}
