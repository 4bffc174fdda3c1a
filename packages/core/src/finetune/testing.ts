/** @file For tests: a data set that a tiny model learns in seconds, a stage context around it, and that model. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '../bundle';
import type { Bundle } from '../bundle';
import { STAGES } from '../stages';
import type { StageType } from '../stages';
import type { StageContext, StageResult } from '../stages/stage';
import { Random } from '../train/random';

/** The first word decides, the rest is noise. */
const COLOURS = ['red', 'green', 'blue', 'white'];
const NOISE = ['the', 'a', 'one', 'big', 'small', 'old', 'new', 'house', 'tree', 'car', 'boat', 'bird'];

/** Writes the data set: 240 training, 40 dev and 40 test rows. */
export function writeColours(dir: string): string {
  mkdirSync(dir, { recursive: true });
  const random = new Random(7);
  const rows = (count: number): { text: string; label: string }[] =>
    Array.from({ length: count }, (_, i) => {
      const label = COLOURS[i % COLOURS.length];
      const words = Array.from({ length: 3 }, () => NOISE[random.integer(NOISE.length)]);
      return { text: `${label} ${words.join(' ')}`, label };
    });
  const splits: Record<string, unknown> = {};
  for (const [split, count] of Object.entries({ train: 240, dev: 40, test: 40 })) {
    writeFileSync(
      join(dir, `${split}.jsonl`),
      rows(count)
        .map((row) => `${JSON.stringify(row)}\n`)
        .join(''),
    );
    splits[split] = { rows: count, characters: { p50: 20, p95: 20, max: 20 }, emptyTexts: 0, duplicates: 0 };
  }
  const info = { format: 1, name: 'colours', kind: 'classification', labels: COLOURS, splits, warnings: [] };
  writeFileSync(join(dir, 'dataset.json'), JSON.stringify(info));
  return dir;
}

/** A context whose output and checkpoints lie in `folder`. */
export function stageContext(folder: string, dataset: string, model?: string): StageContext {
  const output = join(folder, 'output');
  const checkpoints = join(folder, 'checkpoints');
  for (const dir of [output, checkpoints]) mkdirSync(dir, { recursive: true });
  const ignore = (): void => undefined;
  return {
    model,
    baseline: undefined,
    datasets: { data: dataset },
    output,
    checkpoints,
    seed: 1,
    threads: 1,
    signal: new AbortController().signal,
    progress: ignore,
    log: ignore,
    metric: ignore,
  };
}

/** A figure of a result; 0 when it is absent. */
export const figureOf = ({ measurements }: StageResult, name: string): number =>
  measurements.find(({ metric }) => metric === name)?.value ?? 0;

/** Settings that train the tiny model quickly. */
export const QUICK = { batchSize: 16, maxLength: 8, optimizer: { learningRate: 3e-3 }, dropout: 0 };

/** What a stage has made. */
export interface Made {
  readonly result: StageResult;
  /** Of its model. */
  readonly folder: string;
  readonly accuracy: number;
  readonly read: () => Promise<Bundle>;
}

/** Runs a stage in a folder of its own, on the trained model unless another is given. */
export type RunStage = (
  type: StageType,
  name: string,
  settings: object,
  model?: string,
  given?: Partial<StageContext>,
) => Promise<Made>;

export interface Workshop {
  readonly folder: string;
  readonly dataset: string;
  /** A small BERT that has learned the colours. */
  readonly trained: string;
  readonly run: RunStage;
}

/** A new folder in which stages run on the colours one after the other; who opens it deletes it. */
export async function openWorkshop(shape: object = { layers: 2, hidden: 32, heads: 2, ffn: 64 }): Promise<Workshop> {
  const folder = mkdtempSync(join(tmpdir(), 'modelpress-stages-'));
  const dataset = writeColours(join(folder, 'data'));
  const runOn =
    (original: string | undefined): RunStage =>
    async (type, name, settings, model = original, given = {}) => {
      const context = { ...stageContext(join(folder, name), dataset, model), ...given };
      const result = await STAGES[type].run(STAGES[type].schema.parse(settings), context);
      const out = join(folder, name, 'output', result.model ?? '');
      return { result, folder: out, accuracy: figureOf(result, 'accuracy'), read: () => readBundle(out) };
    };
  const scratch = { ...shape, vocabulary: 120 };
  const dense = await runOn(undefined)('finetune', 'dense', { ...QUICK, epochs: 8, scratch });
  if (dense.accuracy < 0.95) throw new Error('The dense model did not learn its task.');
  return { folder, dataset, trained: dense.folder, run: runOn(dense.folder) };
}
