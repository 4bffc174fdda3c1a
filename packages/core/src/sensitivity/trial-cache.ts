/** @file Outcomes of trials, kept in a folder, so that a second attempt does not try again. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { Outcome } from './fallback';

const fileSchema = z.record(
  z.string(),
  z.object({ figure: z.number(), drop: z.number(), divergence: z.number(), bytes: z.number() }),
);

/** One file for one stage run: the same model, rows and settings. */
export class TrialCache {
  private readonly outcomes: Record<string, Outcome>;

  constructor(private readonly path: string) {
    this.outcomes = existsSync(path) ? fileSchema.parse(JSON.parse(readFileSync(path, 'utf8'))) : {};
  }

  /** The outcome of this trial: as it was, or computed and kept. */
  async of(reverted: readonly string[], compute: () => Promise<Outcome>): Promise<Outcome> {
    const key = reverted.join('\n');
    const known = this.outcomes[key];
    if (known) return known;
    const outcome = await compute();
    this.outcomes[key] = outcome;
    writeFileSync(`${this.path}.new`, JSON.stringify(this.outcomes));
    renameSync(`${this.path}.new`, this.path);
    return outcome;
  }
}
