import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';

/** Results by key in one file, so that a second attempt of the same stage run does not compute them again. */
export class ResultCache<T> {
  private readonly results: Record<string, T>;

  constructor(
    private readonly path: string,
    schema: z.ZodType<T>,
  ) {
    const known = existsSync(path) ? z.record(z.string(), schema).parse(JSON.parse(readFileSync(path, 'utf8'))) : {};
    this.results = known;
  }

  has(key: string): boolean {
    return Object.hasOwn(this.results, key);
  }

  /** The result of this key: as it was, or computed and kept. */
  async of(key: string, compute: () => Promise<T>): Promise<T> {
    if (this.has(key)) return this.results[key];
    const result = await compute();
    this.results[key] = result;
    writeFileSync(`${this.path}.new`, JSON.stringify(this.results));
    renameSync(`${this.path}.new`, this.path);
    return result;
  }
}
