import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import type { DataSource } from 'typeorm';
import { openDatabase } from '../database/data-source';
import { FolderStore } from '../objects/folder-store';
import { openTestStack, type TestStack } from '../testing';
import { ArtifactStore } from './artifact-store';
import { ArtifactCache } from './cache';
import { isContained, treeDigest, type TreeFile } from './tree';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe('the digest of a folder', () => {
  const file = fc.record({ path: fc.stringMatching(/^[a-z]{1,8}$/), sha256: fc.string(), bytes: fc.nat() });
  const folder = fc.uniqueArray(file, { selector: ({ path }) => path, minLength: 1 });

  it('does not depend on the order of its files', () => {
    fc.assert(fc.property(folder, (files) => expect(treeDigest([...files].reverse())).toBe(treeDigest(files))));
  });

  it('changes with every name and every byte', () => {
    fc.assert(
      fc.property(folder, fc.nat(), (files, pick) => {
        const index = pick % files.length;
        const changed = (change: Partial<TreeFile>): TreeFile[] =>
          files.map((entry, place) => (place === index ? { ...entry, ...change } : entry));
        expect(treeDigest(changed({ path: 'OTHER' }))).not.toBe(treeDigest(files));
        expect(treeDigest(changed({ sha256: 'other' }))).not.toBe(treeDigest(files));
        expect(treeDigest(files.slice(1))).not.toBe(treeDigest(files));
      }),
    );
  });
});

describe('a path', () => {
  it.each(['model.onnx', 'a/b/c.txt', '.hidden', 'with space'])('%j stays inside', (path) => {
    expect(isContained(path)).toBe(true);
  });

  it.each(['', '/etc/passwd', '..', '../x', 'a/../../x', 'a//b', './a', 'a/.', 'a\\b', 'a\0b', 'a/'])(
    '%j does not',
    (path) => {
      expect(isContained(path)).toBe(false);
    },
  );
});

describe('the cache', () => {
  let stack: TestStack;
  let database: DataSource;
  let store: ArtifactStore;

  beforeAll(async () => {
    stack = await openTestStack();
    database = await openDatabase(stack.config.database);
    store = new ArtifactStore(database, await FolderStore.open(join(stack.folder, 'objects')));
  });
  afterAll(async () => {
    await database.destroy();
    await stack.close();
  });

  async function storeText(name: string, text: string): Promise<string> {
    const folder = join(stack.folder, 'make', name);
    await mkdir(join(folder, 'deep'), { recursive: true });
    await writeFile(join(folder, 'deep', 'file.txt'), text);
    return (await store.store(stack.projectId, 'output', folder)).id;
  }

  const newCache = (maxBytes: number): ArtifactCache =>
    new ArtifactCache(store, join(stack.folder, `cache-${(caches += 1)}`), maxBytes);
  let caches = 0;

  it('brings a folder here, once for all who ask', async () => {
    const cache = newCache(1000);
    const id = await storeText('shared', 'shared text');
    const held = await Promise.all([1, 2, 3].map(() => cache.hold(stack.projectId, id)));
    expect(new Set(held.map(({ path }) => path)).size).toBe(1);
    expect(await readFile(join(held[0]?.path ?? '', 'deep', 'file.txt'), 'utf8')).toBe('shared text');
  });

  it('drops what was used longest ago, and nothing that is held', async () => {
    const cache = newCache(25);
    const [first, second, third] = [
      await storeText('1', '1234567890'),
      await storeText('2', '2345678901'),
      await storeText('3', '3456789012'),
    ];
    const held = await cache.hold(stack.projectId, first);
    (await cache.hold(stack.projectId, second)).release();
    const last = await cache.hold(stack.projectId, third);
    const kept = await readdir(join(held.path, '..'));
    expect(new Set(kept)).toEqual(new Set([basename(held.path), basename(last.path)]));
  });

  it('never keeps damaged bytes', async () => {
    const cache = newCache(1000);
    const id = await storeText('damaged', 'the right text');
    const digest = sha256('the right text');
    const object = join(stack.folder, 'objects', digest.slice(0, 2), digest);
    await rm(object);
    await writeFile(object, 'the wrong text');
    await expect(cache.hold(stack.projectId, id)).rejects.toMatchObject({ code: 'objects.corrupt' });
    await rm(object);
    await storeText('damaged', 'the right text');
    const { path } = await cache.hold(stack.projectId, id);
    expect(await readFile(join(path, 'deep', 'file.txt'), 'utf8')).toBe('the right text');
  });

  it('gives a project only what is its own', async () => {
    const other = await stack.service.projects.create({ name: 'other' });
    const id = await storeText('private', 'private');
    await expect(newCache(1000).hold(other.id, id)).rejects.toMatchObject({ kind: 'not-found' });
  });
});
