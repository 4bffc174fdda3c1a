import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { DatasetInfo, Example } from '../dataset';
import { hashText, HashList } from './hashes';

type SplitStatistics = NonNullable<DatasetInfo['splits']['train']>;

const BUFFER_LENGTH = 2 ** 18;

/** Writes examples to a split's file and keeps count. Memory: 8 bytes a row. */
export class SplitWriter {
  readonly labels = new Map<string, number>();
  /** Of every text (with its pair or target), to find duplicates. */
  readonly hashes = new HashList();
  #rows = 0;
  #emptyTexts = 0;
  /** Rows by number of characters. */
  readonly #lengths = new Map<number, number>();
  #buffer = '';

  private constructor(private readonly file: FileHandle) {}

  static async create(path: string): Promise<SplitWriter> {
    return new SplitWriter(await open(path, 'w'));
  }

  get rows(): number {
    return this.#rows;
  }

  async write(example: Example): Promise<void> {
    const { text, pair, label, target } = example;
    const second = pair ?? target;
    this.#rows++;
    if (text.trim() === '' || second?.trim() === '') this.#emptyTexts++;
    const characters = text.length + (second?.length ?? 0);
    this.#lengths.set(characters, (this.#lengths.get(characters) ?? 0) + 1);
    if (typeof label === 'string') this.labels.set(label, (this.labels.get(label) ?? 0) + 1);
    this.hashes.push(hashText(second === undefined ? text : `${text}\u0000${second}`));
    this.#buffer += `${JSON.stringify(example)}\n`;
    if (this.#buffer.length >= BUFFER_LENGTH) await this.#flush();
  }

  async close(): Promise<void> {
    await this.#flush();
    await this.file.close();
  }

  statistics(): SplitStatistics {
    const { labels, hashes } = this;
    return {
      rows: this.#rows,
      characters: this.#characters(),
      ...(labels.size > 0 ? { labels: Object.fromEntries([...labels].sort(([a], [b]) => (a < b ? -1 : 1))) } : {}),
      emptyTexts: this.#emptyTexts,
      duplicates: hashes.duplicates(),
    };
  }

  #characters(): SplitStatistics['characters'] {
    const counts = [...this.#lengths].sort(([a], [b]) => a - b);
    const at = (share: number): number => {
      let seen = 0;
      return counts.find(([, count]) => (seen += count) >= share * this.#rows)?.[0] ?? 0;
    };
    return { p50: at(0.5), p95: at(0.95), max: counts.at(-1)?.[0] ?? 0 };
  }

  async #flush(): Promise<void> {
    await this.file.write(this.#buffer);
    this.#buffer = '';
  }
}
