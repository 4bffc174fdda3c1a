/** @file For tests: a data set that a tiny model learns in seconds, and a stage context around it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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
