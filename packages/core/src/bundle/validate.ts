/** @file Whether the parts of a bundle belong together. */
import { invalid } from '../errors';
import type { Dim, Model } from '../graph';
import type { Bundle } from './bundle';
import type { ComponentEntry, Manifest } from './manifest';

/**
 * Checks labels against the output, and the manifest's inputs, output and components against the graph.
 * @param tokenizerSize entries of the tokenizer's vocabulary, if it was loaded
 * @throws `bundle.labels`, `bundle.input`, `bundle.output`, `bundle.component` or `bundle.vocabulary`
 */
export function validateBundle({ model, manifest, labels }: Bundle, tokenizerSize?: number): void {
  checkInputs(model, manifest);
  checkLabels(manifest, labels, outputWidth(model, manifest.output));
  for (const entry of manifest.components) checkComponent(model, entry);
  if (tokenizerSize !== undefined) checkVocabulary(tokenizerSize, manifest.structure?.vocabulary);
}

/**
 * A tokenizer may know fewer tokens than the table has rows (tables are padded to round sizes), never more.
 * @throws `bundle.vocabulary`
 */
export function checkVocabulary(tokenizerSize: number, tableRows: number | undefined): void {
  if (tableRows === undefined || tokenizerSize <= tableRows) return;
  throw invalid(
    'bundle.vocabulary',
    `The tokenizer has ${tokenizerSize} tokens but the model's embedding table has ${tableRows} rows: they do not belong together.`,
    { file: 'tokenizer.json' },
  );
}

function checkInputs(model: Model, { inputs }: Manifest): void {
  const actual = model.graph.inputs.map((input) => input.name);
  if (actual.length === inputs.length && inputs.every((name) => actual.includes(name))) return;
  throw invalid(
    'bundle.input',
    `The manifest names the inputs ${inputs.join(', ')}, the model has ${actual.join(', ')}.`,
  );
}

/** Size of the output's last axis where it is fixed. */
function outputWidth(model: Model, name: string): Dim | undefined {
  const output = model.graph.outputs.find((value) => value.name === name);
  if (output) return output.shape?.at(-1);
  throw invalid('bundle.output', `The model has no output "${name}", which the manifest names.`);
}

function checkLabels({ task }: Manifest, labels: readonly string[], width: Dim | undefined): void {
  const classes = task === 'classification' || task === 'pair-classification';
  if (!classes && labels.length > 0) {
    throw invalid('bundle.labels', `A ${task} model has no classes, but ${labels.length} labels are given.`, {
      file: 'labels.json',
    });
  }
  if (!classes) return;
  if (new Set(labels).size < labels.length) {
    throw invalid('bundle.labels', 'Two classes have the same label.', { file: 'labels.json' });
  }
  if (typeof width === 'number' && width !== labels.length) {
    throw invalid('bundle.labels', `The model has ${width} classes, but ${labels.length} labels are given.`, {
      file: 'labels.json',
    });
  }
}

function checkComponent(model: Model, { component, weight, bias, layer }: ComponentEntry): void {
  for (const name of bias === undefined ? [weight] : [weight, bias]) {
    if (model.graph.values.get(name)?.constant) continue;
    const where = layer === undefined ? '' : ` of layer ${layer}`;
    throw invalid(
      'bundle.component',
      `The manifest says that "${name}" is ${component}${where}, but the model has no such weight.`,
    );
  }
}
