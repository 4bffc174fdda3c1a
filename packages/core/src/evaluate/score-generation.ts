import { invalid } from '../errors';
import { readSplit } from '../text';
import type { Split } from '../text';
import { corpusBleu } from './bleu';
import { generate } from './generate';
import type { GenerateOptions } from './generate';
import { meanRougeL } from './rouge';

export interface GenerationOptions extends GenerateOptions {
  /** Prompts to answer at most: the first of the split. */
  readonly maxPrompts: number;
}

/** How near generated texts come to their references. */
export interface GenerationScores {
  /** Corpus BLEU, 0..100. */
  readonly bleu: number;
  /** Mean ROUGE-L F1, 0..1. */
  readonly rougeL: number;
  /** Different prompts that were answered. */
  readonly prompts: number;
  readonly examples: readonly GeneratedExample[];
}

export interface GeneratedExample {
  readonly prompt: string;
  readonly generated: string;
  readonly references: readonly string[];
}

/**
 * Lets a causal language model answer the prompts of a generation data set and compares with the references; rows with
 * the same prompt are several references for one answer.
 * @throws ModelpressError `evaluate.no-target` for data without targets; those of `generate`
 */
export async function scoreGeneration(
  bundle: string,
  dataset: string,
  split: Split,
  { maxPrompts, ...options }: GenerationOptions,
): Promise<GenerationScores> {
  const references = await readReferences(dataset, split, maxPrompts);
  const prompts = [...references.keys()];
  const generated = await generate(bundle, prompts, options);
  const wanted = [...references.values()];
  return {
    bleu: corpusBleu(generated, wanted),
    rougeL: meanRougeL(generated, wanted),
    prompts: prompts.length,
    examples: prompts.map((prompt, i) => ({ prompt, generated: generated[i], references: wanted[i] })),
  };
}

/** References of each of the first prompts. */
async function readReferences(dataset: string, split: Split, maxPrompts: number): Promise<Map<string, string[]>> {
  const references = new Map<string, string[]>();
  for await (const { text, target } of readSplit(dataset, split)) {
    if (target === undefined) {
      throw invalid('evaluate.no-target', `A row of the ${split} split has no target text to compare with.`);
    }
    const known = references.get(text);
    if (known) known.push(target);
    else if (references.size < maxPrompts) references.set(text, [target]);
  }
  if (references.size === 0) throw invalid('evaluate.no-text', `The ${split} split has no row.`);
  return references;
}
