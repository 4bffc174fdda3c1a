import { invalid } from '../../errors';
import type { DatasetKind, Example } from '../dataset';
import type { OpenPart } from './open-parts';
import type { RawExample } from './options';

/** What a kind of data set needs besides a text. */
const NEEDS: Readonly<Record<DatasetKind, readonly (keyof OpenPart['has'])[]>> = {
  classification: ['label'],
  'pair-classification': ['pair', 'label'],
  regression: ['label'],
  generation: ['target'],
  unlabelled: [],
};

const SAMPLE_ROWS = 500;

/** Tells what kind of data set the parts make up. */
export async function tellKind(parts: readonly OpenPart[]): Promise<DatasetKind> {
  if (parts.some(({ has }) => has.target)) return 'generation';
  const labelled = parts.find(({ has }) => has.label);
  if (labelled === undefined) return 'unlabelled';
  if (await hasFractions(labelled)) return 'regression';
  return labelled.has.pair ? 'pair-classification' : 'classification';
}

/** Whether the first labels are all numbers and some are not whole. */
async function hasFractions(part: OpenPart): Promise<boolean> {
  let rows = 0;
  let fractions = 0;
  for await (const { label = '' } of part.examples()) {
    const value = Number(label);
    if (label === '' || !Number.isFinite(value)) return false;
    if (!Number.isInteger(value)) fractions++;
    if (++rows === SAMPLE_ROWS) break;
  }
  return fractions > 0;
}

/**
 * The parts that have what the kind needs; the others are left out with a warning.
 * @throws ModelpressError `dataset.column` when none has.
 */
export function partsForKind(
  parts: readonly OpenPart[],
  kind: DatasetKind,
  warn: (message: string) => void,
): readonly OpenPart[] {
  const lacks = ({ has }: OpenPart) => NEEDS[kind].find((part) => !has[part]);
  const usable = parts.filter((part) => lacks(part) === undefined);
  if (usable.length === 0) {
    const part = lacks(parts[0]) ?? 'text';
    throw invalid('dataset.column', `A ${kind} data set needs a ${part}, which ${parts[0].name} does not have.`, {
      field: `mapping.${part}`,
      file: parts[0].name,
    });
  }
  for (const part of parts) {
    if (!usable.includes(part)) warn(`${part.name} has no ${lacks(part)} and is left out.`);
  }
  return usable;
}

/**
 * An example with exactly the fields of its kind.
 * @throws ModelpressError `dataset.label-missing`, `dataset.label-number`, with file and line.
 */
export function toExample(raw: RawExample, kind: DatasetKind, file: string): Example {
  const { text, pair, target } = raw;
  switch (kind) {
    case 'classification':
      return { text, label: label(raw, file) };
    case 'pair-classification':
      return { text, pair: pair ?? '', label: label(raw, file) };
    case 'regression':
      return { text, ...(pair === undefined ? {} : { pair }), label: number(label(raw, file), raw.line, file) };
    case 'generation':
      return { text, target: target ?? '' };
    case 'unlabelled':
      return { text };
  }
}

function label({ label: name = '', line }: RawExample, file: string): string {
  if (name !== '') return name;
  throw invalid('dataset.label-missing', `${place(file, line)} has no label.`, { file, line, field: 'mapping.label' });
}

function number(text: string, line: number, file: string): number {
  const value = Number(text);
  if (Number.isFinite(value)) return value;
  throw invalid('dataset.label-number', `${place(file, line)} has the label "${text}", which is no number.`, {
    file,
    line,
    field: 'mapping.label',
  });
}

const place = (file: string, line: number): string => (line > 0 ? `Line ${line} of ${file}` : `A row of ${file}`);
