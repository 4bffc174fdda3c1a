import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import * as fc from 'fast-check';
import { tar, tarHeader, tarSize, type TarEntry } from './tar';

const entry = (path: string, content: Uint8Array): TarEntry => ({
  path,
  bytes: content.byteLength,
  open: async () => Readable.from([content]),
});

const MODIFIED = new Date('2026-11-22T10:00:00Z');

describe('tar', () => {
  it('is read by tar, whatever the names', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'modelpress-tar-'));
    const sizes = fc.constantFrom(0, 1, 511, 512, 513, 5000);
    const folderNames = fc.constantFrom('data', 'modèle', 'long/'.repeat(50));
    await fc.assert(
      fc.asyncProperty(fc.array(sizes, { minLength: 1, maxLength: 4 }), folderNames, async (bytes, folderName) => {
        const entries = bytes.map((size, i) => entry(`${folderName}/file ${i}.bin`, Buffer.alloc(size, i + 1)));
        const written = await buffer(Readable.from(tar(entries, MODIFIED), { objectMode: false }));
        expect(written.byteLength).toBe(tarSize(entries, MODIFIED));
        await writeFile(join(folder, 'x.tar'), written);
        execFileSync('tar', ['-xf', 'x.tar'], { cwd: folder });
        const read = await Promise.all(entries.map(({ path }) => readFile(join(folder, path))));
        expect(read.map((content) => content.byteLength)).toEqual(bytes);
        expect(read.every((content, i) => content.every((byte) => byte === i + 1))).toBe(true);
      }),
      { numRuns: 10 },
    );
    await rm(folder, { recursive: true });
  });

  it('has room for files of more than 8 GiB', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'modelpress-tar-'));
    await writeFile(join(folder, 'x.tar'), tarHeader({ path: 'model.onnx.data', bytes: 20 * 2 ** 30 }, MODIFIED));
    const listed = execFileSync('sh', ['-c', 'tar -tvf x.tar 2>/dev/null || true'], { cwd: folder }).toString();
    expect(listed).toContain(`${20 * 2 ** 30}`);
    await rm(folder, { recursive: true });
  });
});
