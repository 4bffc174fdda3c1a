/** @file Results of language models: perplexity, and of generation data BLEU and ROUGE-L of the model's own answers. */
import { scoreGeneration, scoreLanguageModel } from '../evaluate';
import type { GenerationScores, PredictOptions } from '../evaluate';
import type { ReportSection } from '../report/measurement';
import type { Split } from '../text';
import { plainOutcome } from './evaluate-plain';
import type { StageResult } from './stage';

/** Scores one model on a split. */
export type Score<T> = (model: string, data: string, split: Split, options: PredictOptions) => Promise<T>;

export const languageScores: Score<Record<string, number>> = async (...args) => {
  const { perplexity, negativeLogLikelihood, tokens } = await scoreLanguageModel(...args);
  return { perplexity, loss: negativeLogLikelihood / tokens };
};

interface GenerationResult {
  readonly figures: Readonly<Record<string, number>>;
  readonly examples: GenerationScores['examples'];
}

/** Perplexity of the references, and how near to them the model's own answers come. */
export const generationScores =
  ({ prompts, maxNewTokens }: { prompts: number; maxNewTokens: number }): Score<GenerationResult> =>
  async (model, data, split, options) => {
    const half = (start: number): PredictOptions => ({
      ...options,
      onProgress: (fraction) => options.onProgress?.(start + 0.5 * fraction),
    });
    const language = await languageScores(model, data, split, half(0));
    const settings = { ...half(0.5), maxPrompts: prompts, maxNewTokens };
    const { bleu, rougeL, examples } = await scoreGeneration(model, data, split, settings);
    return { figures: { ...language, bleu, rougeL }, examples };
  };

/** Answers shown in the report. */
const SHOWN = 5;

export function generationOutcome(
  candidate: GenerationResult,
  baseline: GenerationResult | undefined,
  warnings: readonly string[],
  split: string,
): StageResult {
  const outcome = plainOutcome(candidate.figures, baseline?.figures, warnings, split);
  const answers: ReportSection = {
    kind: 'table',
    title: 'Answers',
    columns: ['Prompt', 'Result', 'Original', 'Reference'],
    rows: candidate.examples
      .slice(0, SHOWN)
      .map(({ prompt, generated, references }, i) => [
        prompt,
        generated,
        baseline?.examples[i]?.generated ?? null,
        references[0],
      ]),
    note: `BLEU and ROUGE-L over ${candidate.examples.length} prompts, greedy answers.`,
  };
  return { ...outcome, sections: [...outcome.sections, answers] };
}
