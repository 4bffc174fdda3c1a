import type { Readable } from 'node:stream';

export interface StoredObject {
  /** Hex SHA-256 of the bytes: the object's name. */
  readonly sha256: string;
  readonly bytes: number;
}

/** Both ends are included, as in an HTTP range. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Bytes under the name of their SHA-256: never changed, stored once however often they come. */
export interface ObjectStore {
  /** Stores a stream in bounded memory; the digest is computed on the way and the object appears only when complete. */
  put(source: Readable): Promise<StoredObject>;
  /**
   * Stores a file of this machine whose digest is known, unless that object is there already.
   * @throws ModelpressError `objects.changed` if the file is not what the digest says.
   */
  putFile(path: string, known: StoredObject): Promise<void>;
  /**
   * Opens an object. Read to the end, it is checked against its digest: the stream fails with `objects.corrupt` instead
   * of ending. A range cannot be checked.
   * @throws ModelpressError `objects.not-found`.
   */
  get(sha256: string, range?: ByteRange): Promise<Readable>;
  /** Size of an object; undefined: there is none. */
  bytes(sha256: string): Promise<number | undefined>;
  /** Does nothing if there is none. */
  delete(sha256: string): Promise<void>;
  /** A link that lets anyone read the object for a while; null where the store cannot make one. */
  presignDownload(
    sha256: string,
    options: { readonly fileName: string; readonly seconds: number },
  ): Promise<string | null>;
  /** A link to which a client sends bytes by PUT, past the API; `openUpload` then reads them. Null: not possible. */
  createUpload(seconds: number): Promise<{ readonly id: string; readonly url: string } | null>;
  /** @throws ModelpressError `objects.not-found` if nothing was sent. */
  openUpload(id: string): Promise<Readable>;
  deleteUpload(id: string): Promise<void>;
  /** Fails if the store cannot be reached. */
  check(): Promise<void>;
  close(): void;
}
