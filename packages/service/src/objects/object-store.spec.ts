import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { startTestS3, type TestS3 } from '../testing';
import { digestFile } from './digest';
import { FolderStore } from './folder-store';
import type { ObjectStore } from './object-store';
import { S3Store } from './s3-store';

interface Setup {
  readonly store: ObjectStore;
  /** Changes a stored object behind the store's back. */
  damage(sha256: string): Promise<void>;
  readonly presigns: boolean;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'objects-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

async function openFolder(): Promise<Setup> {
  const root = join(folder, 'store');
  return {
    store: await FolderStore.open(root),
    presigns: false,
    damage: async (name) => {
      const path = join(root, name.slice(0, 2), name);
      await rm(path);
      await writeFile(path, 'not what it was');
    },
  };
}

let server: TestS3 | undefined;
afterAll(() => server?.stop());

async function openS3(): Promise<Setup> {
  const directory = join(folder, 's3');
  server = await startTestS3(directory);
  const { endpoint, bucket, ...credentials } = server;
  return {
    store: new S3Store({ bucket, endpoint, region: 'us-east-1', credentials, pathStyle: true }),
    presigns: true,
    damage: async (name) => {
      const objects = join(directory, bucket, 'objects');
      const file = (await readdir(objects)).find((entry) => entry.startsWith(name) && entry.includes('object'));
      await writeFile(join(objects, file ?? ''), 'not what it was');
    },
  };
}

describe.each([
  ['folder', openFolder],
  ['S3', openS3],
])('object store: %s', (_name, open) => {
  let setup: Setup;
  let store: ObjectStore;
  beforeAll(async () => {
    setup = await open();
    ({ store } = setup);
  });
  afterAll(() => store.close());

  it('gives back what was put, under its digest', async () => {
    const bytes = randomBytes(300_000);
    const stored = await store.put(Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)]));
    expect(stored).toEqual({ sha256: sha256(bytes), bytes: bytes.length });
    expect(sha256(await buffer(await store.get(stored.sha256)))).toBe(stored.sha256);
    expect(await store.bytes(stored.sha256)).toBe(bytes.length);
  });

  it('stores the same bytes once', async () => {
    const bytes = randomBytes(1000);
    const first = await store.put(Readable.from([bytes]));
    expect(await store.put(Readable.from([bytes]))).toEqual(first);
  });

  it('stores nothing of a stream that breaks', async () => {
    const bytes = randomBytes(1000);
    const broken = Readable.from(
      (async function* () {
        yield bytes;
        throw new Error('connection reset');
      })(),
    );
    await expect(store.put(broken)).rejects.toThrow('connection reset');
    expect(await store.bytes(sha256(bytes))).toBeUndefined();
  });

  it('stores a file larger than one part', async () => {
    const path = join(folder, 'large');
    const bytes = randomBytes(17 * 1024 ** 2);
    await writeFile(path, bytes);
    const stored = await digestFile(path);
    expect(stored).toEqual({ sha256: sha256(bytes), bytes: bytes.length });
    await store.putFile(path, stored);
    expect(sha256(await buffer(await store.get(stored.sha256)))).toBe(stored.sha256);
    expect(sha256(await readFile(path))).toBe(stored.sha256);
  });

  it('notices a file that changes while it is stored', async () => {
    const path = join(folder, 'changing');
    await writeFile(path, 'before');
    const known = await digestFile(path);
    await writeFile(path, 'after!');
    await expect(store.putFile(path, known)).rejects.toMatchObject({ code: 'objects.changed' });
    expect(await store.bytes(known.sha256)).toBeUndefined();
  });

  it('stores nothing at all', async () => {
    const stored = await store.put(Readable.from([]));
    expect(stored.bytes).toBe(0);
    expect(await buffer(await store.get(stored.sha256))).toEqual(Buffer.alloc(0));
  });

  it('reads a range', async () => {
    const bytes = randomBytes(5000);
    const stored = await store.put(Readable.from([bytes]));
    expect(await buffer(await store.get(stored.sha256, { start: 100, end: 199 }))).toEqual(bytes.subarray(100, 200));
  });

  it('refuses to give damaged bytes as whole', async () => {
    const stored = await store.put(Readable.from([randomBytes(5000)]));
    await setup.damage(stored.sha256);
    await expect(store.get(stored.sha256).then(buffer)).rejects.toMatchObject({ code: 'objects.corrupt' });
  });

  it('says when there is no such object', async () => {
    const missing = sha256(Buffer.from(randomUUID()));
    await expect(store.get(missing)).rejects.toMatchObject({ kind: 'not-found', code: 'objects.not-found' });
    expect(await store.bytes(missing)).toBeUndefined();
    await expect(store.delete(missing)).resolves.toBeUndefined();
  });

  it('deletes', async () => {
    const stored = await store.put(Readable.from([randomBytes(10)]));
    await store.delete(stored.sha256);
    expect(await store.bytes(stored.sha256)).toBeUndefined();
  });

  it('links to an object where it can', async () => {
    const bytes = randomBytes(100);
    const stored = await store.put(Readable.from([bytes]));
    const link = await store.presignDownload(stored.sha256, { fileName: 'model.onnx', seconds: 60 });
    expect(link !== null).toBe(setup.presigns);
    if (link === null) return;
    const response = await fetch(link);
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes);
    expect(response.headers.get('content-disposition')).toContain('model.onnx');
  });

  it('takes bytes past the API where it can', async () => {
    const upload = await store.createUpload(60);
    expect(upload !== null).toBe(setup.presigns);
    if (upload === null) return;
    expect((await fetch(upload.url, { method: 'PUT', body: 'straight in' })).status).toBe(200);
    expect((await buffer(await store.openUpload(upload.id))).toString()).toBe('straight in');
    await store.deleteUpload(upload.id);
    await expect(store.openUpload(upload.id)).rejects.toMatchObject({ code: 'objects.not-found' });
  });

  it('can be checked', async () => {
    await expect(store.check()).resolves.toBeUndefined();
  });
});
