/** @file Scores many versions of one model on the same rows. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readLabels } from '../bundle';
import type { Manifest } from '../bundle';
import { invalid } from '../errors';
import { scoreClassification, scoreRegression } from '../evaluate';
import { softmaxRows } from '../evaluate/classification';
import { runBatches, withTokens } from '../evaluate/predict';
import type { Model } from '../graph';
import { ortRuntime } from '../runtime';
import type { Batches, Split } from '../text';
import { copySplit } from '../text/copy-split';

export interface JudgeOptions {
  /** Bundle folder of the original: its tokenizer reads the rows. */
  readonly bundle: string;
  readonly manifest: Manifest;
  readonly dataset: string;
  readonly split: Split;
  /** Rows at most, drawn with the seed. */
  readonly rows: number;
  readonly seed: number;
  readonly threads: number;
  readonly signal: AbortSignal;
}

/** What one version of the model came to. */
export interface Judgement {
  /** Figures of the task: accuracy, macroF1, loss ... */
  readonly figures: Readonly<Record<string, number>>;
  /**
   * How far its answers are from the original's, 0 for the same: mean over rows of KL(original || version) in nats; of
   * a regression, the mean squared difference.
   */
  readonly divergence: number;
}

/** Tasks whose rows have one output that can be compared. */
export const canJudge = ({ task, architecture }: Pick<Manifest, 'task' | 'architecture'>): boolean =>
  architecture !== 'dan' && (task === 'classification' || task === 'pair-classification' || task === 'regression');

/** Tokenized rows, and the original's answers to them. */
export class Judge {
  private constructor(
    private readonly options: JudgeOptions,
    private readonly batches: Batches,
    readonly labels: Float32Array,
    private readonly answers: { readonly logits: Float32Array; readonly outputs: number },
    /** The original by itself. */
    readonly original: Judgement,
  ) {}

  /**
   * Tokenizes the rows, asks the original, and hands the judge to `use`; what was written for it is gone afterwards.
   * @throws `evaluate.no-label` for a row without a label, `dataset.no-split`, `evaluate.tokenizer`, `cancelled`
   */
  static async open<T>(original: Model, options: JudgeOptions, use: (judge: Judge) => Promise<T>): Promise<T> {
    const { bundle, dataset, split, rows, seed, signal } = options;
    const folder = await mkdtemp(join(tmpdir(), 'modelpress-rows-'));
    try {
      await copySplit(dataset, split, folder, { rows, seed });
      const labels = await readLabels(bundle);
      return await withTokens(bundle, folder, split, { labels, signal }, async (tokens, batches) => {
        const given = tokens.rows.labels;
        if (given.some(Number.isNaN))
          throw invalid('evaluate.no-label', `A row of the ${split} split has no label.`, { field: 'datasets.data' });
        const answers = await answersOf(original, batches, options);
        const judgement = { figures: figuresOf(answers, given, options.manifest), divergence: 0 };
        return use(new Judge(options, batches, given, answers, judgement));
      });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  get rows(): number {
    return this.labels.length;
  }

  /** @throws what the runtime says of a graph that it cannot compile; `cancelled` */
  async judge(model: Model): Promise<Judgement> {
    const answers = await answersOf(model, this.batches, this.options);
    const { manifest } = this.options;
    const divergence =
      manifest.task === 'regression'
        ? meanSquare(this.answers.logits, answers.logits)
        : meanKl(this.answers.logits, answers.logits, answers.outputs);
    return { figures: figuresOf(answers, this.labels, manifest), divergence };
  }
}

async function answersOf(
  model: Model,
  batches: Batches,
  { manifest, threads, signal }: JudgeOptions,
): Promise<{ logits: Float32Array; outputs: number }> {
  const executable = await ortRuntime.compile(model, { threads });
  try {
    return await runBatches(executable, batches, manifest, { signal });
  } finally {
    await executable.release();
  }
}

function figuresOf(
  { logits, outputs }: { readonly logits: Float32Array; readonly outputs: number },
  labels: Float32Array,
  { task }: Manifest,
): Record<string, number> {
  if (task === 'regression') return { ...scoreRegression(logits, labels) };
  return { ...scoreClassification({ logits, classes: outputs, labels }).scores };
}

/** Mean over rows of sum p ln(p / q). */
function meanKl(original: Float32Array, candidate: Float32Array, classes: number): number {
  const [p, q] = [softmaxRows(original, classes), softmaxRows(candidate, classes)];
  let sum = 0;
  for (let i = 0; i < p.length; i++) if (p[i] > 0) sum += p[i] * Math.log(p[i] / Math.max(q[i], Number.MIN_VALUE));
  return Math.max(0, (sum * classes) / p.length);
}

function meanSquare(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum / a.length;
}
