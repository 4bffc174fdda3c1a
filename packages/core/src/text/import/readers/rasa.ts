import { parseDocument } from 'yaml';
import { invalid } from '../../../errors';
import type { Encoding } from '../encoding';
import type { RawExample } from '../options';
import type { SourceFile } from '../source-file';
import { wholeText } from './json';

/** `[words](entity)`, `[words]{"entity": ...}`, and both with a role: the words stay. */
const ENTITY = /\[([^\]]+)\](?:\([^)]*\)|\{[^}]*\})/g;

/**
 * Intents and their examples of Rasa NLU training data (version 2 and 3). Files without `nlu` (responses, rules) and
 * entries that are no intents (lookups, synonyms, regexes) give nothing.
 * @throws ModelpressError `dataset.yaml`.
 */
export async function* rasaExamples(file: SourceFile, encoding: Encoding): AsyncGenerator<RawExample> {
  const text = await wholeText(file, encoding);
  if (!/^nlu\s*:/m.test(text)) return;
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error) {
    const line = error.linePos?.[0].line;
    throw invalid('dataset.yaml', `${file.name} is not YAML: ${error.message}`, {
      file: file.name,
      ...(line === undefined ? {} : { line }),
    });
  }
  const content: unknown = document.toJS();
  const entries = isObject(content) && Array.isArray(content['nlu']) ? content['nlu'] : [];
  for (const entry of entries) {
    if (!isObject(entry) || typeof entry['intent'] !== 'string') continue;
    for (const text of exampleTexts(entry['examples'], entry['intent'], file.name)) {
      yield { text: text.replace(ENTITY, '$1'), label: entry['intent'], line: 0 };
    }
  }
}

/** Examples are a block of `- ` lines, or a list of texts or of `{text}`. */
function exampleTexts(examples: unknown, intent: string, file: string): string[] {
  if (typeof examples === 'string') {
    const lines = examples.split('\n').filter((line) => line.trim() !== '');
    if (lines.every((line) => /^\s*-/.test(line))) return lines.map((line) => line.replace(/^\s*-\s*/, '').trim());
  } else if (Array.isArray(examples)) {
    const texts = examples.map((example: unknown) => (isObject(example) ? example['text'] : example));
    if (texts.every((text) => typeof text === 'string')) return texts.map((text) => text.trim());
  }
  throw invalid('dataset.yaml', `The examples of intent ${intent} in ${file} are not a list.`, { file });
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
