/** @file The student that a graph is trained for: its bundle before training. */
import { readBundle } from '../bundle';
import type { Bundle } from '../bundle';
import { createBilstm, createTextCnn, createTransformer, selectLayers, transformerConfig } from '../models';
import type { CreateOptions } from '../models';
import { trainTokenizer } from '../finetune/start';
import { replaceHead } from '../models/replace-head';
import { bertTokenizer, loadTokenizer, parseVocabTxt, readTokenizerSource, Tokenizer } from '../text';
import type { GraphStudent } from './config';

export interface Student {
  readonly bundle: Bundle;
  readonly tokenizer: Tokenizer;
}

type FreshStudent = Exclude<GraphStudent, { type: 'layers' | 'model' }>;

/**
 * @param folder the teacher's bundle folder
 * @param model the stage's input model, for a student that is it
 * @param transfer data set folder that an own vocabulary is trained on
 */
export async function createStudent(
  config: GraphStudent,
  teacher: Bundle,
  folder: string,
  transfer: string,
  { maxLength, seed, model }: { readonly maxLength: number; readonly seed: number; readonly model: string },
): Promise<Student> {
  if (config.type === 'model') {
    const { task } = teacher.manifest;
    const { bundle } = replaceHead(await readBundle(model), { task, labels: teacher.labels, seed });
    return { bundle, tokenizer: await loadTokenizer(model) };
  }
  if (config.type === 'layers') {
    return { bundle: selectLayers(teacher, config.keep), tokenizer: new Tokenizer(await readTokenizerSource(folder)) };
  }
  const { tokenizer, tokenizerFiles } = await tokenizerOf(config, teacher, folder, transfer);
  const options: CreateOptions = {
    task: teacher.manifest.task,
    labels: teacher.labels,
    seed,
    name: `${config.type} student of ${teacher.manifest.name}`,
    tokenizer: { kind: tokenizer.kind, padId: tokenizer.padId },
    tokenizerFiles,
  };
  return { bundle: create(config, tokenizer, maxLength, options), tokenizer };
}

function create(
  config: FreshStudent,
  { vocabularySize: vocabulary, padId }: Tokenizer,
  maxLength: number,
  options: CreateOptions,
): Bundle {
  switch (config.type) {
    case 'transformer': {
      const { architecture, layers, hidden, heads = Math.max(1, Math.floor(hidden / 64)), ffn } = config;
      const sizes = { layers, hidden, heads, vocabulary, maxLength, padId, ...(ffn === undefined ? {} : { ffn }) };
      return createTransformer(transformerConfig(architecture, sizes), options);
    }
    case 'textcnn': {
      const { embedding, kernels, filters } = config;
      return createTextCnn({ vocabulary, embedding, kernels, filters }, maxLength, options);
    }
    case 'bilstm': {
      const { embedding, hidden, layers, dense } = config;
      return createBilstm({ vocabulary, embedding, hidden, layers, dense }, maxLength, options);
    }
  }
}

async function tokenizerOf(
  { vocabulary }: FreshStudent,
  teacher: Bundle,
  folder: string,
  transfer: string,
): Promise<{ tokenizer: Tokenizer; tokenizerFiles: Bundle['tokenizerFiles'] }> {
  if (vocabulary === undefined) {
    const tokenizer = new Tokenizer(await readTokenizerSource(folder));
    return { tokenizer, tokenizerFiles: teacher.tokenizerFiles };
  }
  const tokenizerFiles = await trainTokenizer(transfer, { vocabulary });
  const words = new TextDecoder().decode(tokenizerFiles.get('vocab.txt'));
  return { tokenizer: new Tokenizer(bertTokenizer(parseVocabTxt(words))), tokenizerFiles };
}
