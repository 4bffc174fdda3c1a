import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { access, mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { digester, objectChanged, objectNotFound, verified } from './digest';
import type { ByteRange, ObjectStore, StoredObject } from './object-store';

const CHUNK_BYTES = 1 << 20;

/** Objects as files `<root>/<first two hex digits>/<sha256>`. The folder may be shared over a network file system. */
export class FolderStore implements ObjectStore {
  private constructor(private readonly root: string) {}

  static async open(root: string): Promise<FolderStore> {
    await mkdir(join(root, 'incoming'), { recursive: true });
    return new FolderStore(root);
  }

  async put(source: Readable): Promise<StoredObject> {
    const draft = join(this.root, 'incoming', randomUUID());
    try {
      const { stream, result } = digester();
      // flush: the bytes are on the disk before the name is, so a power cut cannot leave a damaged object.
      await pipeline(source, stream, createWriteStream(draft, { mode: 0o444, flush: true }));
      const stored = result();
      const path = this.pathOf(stored.sha256);
      await mkdir(dirname(path), { recursive: true });
      await rename(draft, path);
      return stored;
    } finally {
      await rm(draft, { force: true });
    }
  }

  async putFile(path: string, known: StoredObject): Promise<void> {
    if ((await this.bytes(known.sha256)) !== undefined) return;
    const stored = await this.put(createReadStream(path, { highWaterMark: CHUNK_BYTES }));
    if (stored.sha256 !== known.sha256) throw objectChanged(path);
  }

  async get(sha256: string, range?: ByteRange): Promise<Readable> {
    if ((await this.bytes(sha256)) === undefined) throw objectNotFound(sha256);
    const source = createReadStream(this.pathOf(sha256), { highWaterMark: CHUNK_BYTES, ...range });
    return range === undefined ? verified(source, sha256) : source;
  }

  async bytes(sha256: string): Promise<number | undefined> {
    const found = await stat(this.pathOf(sha256)).catch(() => undefined);
    return found?.size;
  }

  async delete(sha256: string): Promise<void> {
    await rm(this.pathOf(sha256), { force: true });
  }

  async presignDownload(): Promise<null> {
    return null;
  }

  async createUpload(): Promise<null> {
    return null;
  }

  async openUpload(id: string): Promise<Readable> {
    throw objectNotFound(id);
  }

  async deleteUpload(): Promise<void> {
    // There are no uploads past the API.
  }

  check(): Promise<void> {
    return access(this.root);
  }

  close(): void {
    // Holds nothing open.
  }

  private pathOf(sha256: string): string {
    return join(this.root, sha256.slice(0, 2), sha256);
  }
}
