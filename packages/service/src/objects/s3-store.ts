import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { S3Config } from '../config/config';
import { digester, objectChanged, objectNotFound, verified } from './digest';
import type { ByteRange, ObjectStore, StoredObject } from './object-store';

/** Parts in flight times their size bounds the memory of an upload. */
const PART_BYTES = 16 * 1024 ** 2;
const PARTS_IN_FLIGHT = 2;

/** Objects in a bucket, as `objects/<sha256>`. */
export class S3Store implements ObjectStore {
  private readonly client: S3Client;
  private readonly bucket: string;

  constructor(config: S3Config) {
    this.bucket = config.bucket;
    this.client = new S3Client({
      region: config.region,
      forcePathStyle: config.pathStyle,
      ...(config.endpoint === undefined ? {} : { endpoint: config.endpoint }),
      // A copy: the SDK notes on the object where it came from, and the configuration is frozen.
      ...(config.credentials === undefined ? {} : { credentials: { ...config.credentials } }),
      // Objects are checked by our own SHA-256; the SDK's CRC trailers are unknown to many S3 servers.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    });
  }

  async put(source: Readable): Promise<StoredObject> {
    // The name is known only at the end, and S3 cannot rename: the stream waits in a file, never in memory.
    const spool = join(tmpdir(), `modelpress-${randomUUID()}`);
    try {
      const { stream, result } = digester();
      await pipeline(source, stream, createWriteStream(spool, { mode: 0o600 }));
      const stored = result();
      await this.upload(spool, stored);
      return stored;
    } finally {
      await rm(spool, { force: true });
    }
  }

  async putFile(path: string, known: StoredObject): Promise<void> {
    await this.upload(path, known);
  }

  async get(sha256: string, range?: ByteRange): Promise<Readable> {
    const source = await this.open(objectKey(sha256), range);
    return range === undefined ? verified(source, sha256) : source;
  }

  async bytes(sha256: string): Promise<number | undefined> {
    try {
      const head = await this.client.send(new HeadObjectCommand({ Bucket: this.bucket, Key: objectKey(sha256) }));
      return head.ContentLength;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async delete(sha256: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key: objectKey(sha256) }));
  }

  presignDownload(sha256: string, { fileName, seconds }: { fileName: string; seconds: number }): Promise<string> {
    const disposition = `attachment; filename*=UTF-8''${encodeURIComponent(fileName)}`;
    return getSignedUrl(
      this.client,
      new GetObjectCommand({
        Bucket: this.bucket,
        Key: objectKey(sha256),
        ResponseContentDisposition: disposition,
      }),
      { expiresIn: seconds },
    );
  }

  async createUpload(seconds: number): Promise<{ id: string; url: string }> {
    const id = randomUUID();
    const command = new PutObjectCommand({ Bucket: this.bucket, Key: uploadKey(id) });
    return { id, url: await getSignedUrl(this.client, command, { expiresIn: seconds }) };
  }

  openUpload(id: string): Promise<Readable> {
    return this.open(uploadKey(id));
  }

  async deleteUpload(id: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key: uploadKey(id) }));
  }

  async check(): Promise<void> {
    await this.client.send(new HeadBucketCommand({ Bucket: this.bucket }));
  }

  close(): void {
    this.client.destroy();
  }

  private async upload(path: string, { sha256, bytes }: StoredObject): Promise<void> {
    if ((await this.bytes(sha256)) === bytes) return;
    const { stream, result } = digester();
    await new Upload({
      client: this.client,
      params: { Bucket: this.bucket, Key: objectKey(sha256), Body: createReadStream(path).pipe(stream) },
      partSize: PART_BYTES,
      queueSize: PARTS_IN_FLIGHT,
    }).done();
    if (result().sha256 !== sha256) {
      await this.delete(sha256);
      throw objectChanged(path);
    }
  }

  private async open(key: string, range?: ByteRange): Promise<Readable> {
    try {
      const { Body } = await this.client.send(
        new GetObjectCommand({
          Bucket: this.bucket,
          Key: key,
          ...(range === undefined ? {} : { Range: `bytes=${range.start}-${range.end}` }),
        }),
      );
      if (Body === undefined) throw objectNotFound(key);
      return Body as Readable;
    } catch (error) {
      if (isMissing(error)) throw objectNotFound(key);
      throw error;
    }
  }
}

const objectKey = (sha256: string): string => `objects/${sha256}`;
const uploadKey = (id: string): string => `uploads/${id}`;

const isMissing = (error: unknown): boolean =>
  error instanceof S3ServiceException && error.$metadata.httpStatusCode === 404;
