import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCheckpoint, writeCheckpoint } from './checkpoint';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'checkpoint-'));
});
afterEach(() => rm(folder, { recursive: true }));

const arrays = (): Map<string, Float32Array | Uint8Array> =>
  new Map<string, Float32Array | Uint8Array>([
    ['weight/a', new Float32Array(new ArrayBuffer(40), 8, 3).fill(1.5)],
    ['mask/a', Uint8Array.of(1, 0, 1, 1, 0)],
    ['weight/empty', new Float32Array(0)],
  ]);
const blank = (): Map<string, Float32Array | Uint8Array> =>
  new Map([...arrays()].map(([name, array]) => [name, array.slice().fill(0)]));

describe('checkpoint', () => {
  it('restores state and arrays, and replaces an older one without leaving other files', async () => {
    const path = join(folder, 'last');
    await writeCheckpoint(path, { step: 6 }, arrays());
    await writeCheckpoint(path, { step: 7, random: [1, 2] }, arrays());
    expect(await readdir(folder)).toEqual(['last']);
    const target = blank();
    let seen: unknown;
    const state = await readCheckpoint(path, (given) => {
      seen = given;
      return target;
    });
    expect(state).toEqual({ step: 7, random: [1, 2] });
    expect(seen).toBe(state);
    expect(target).toEqual(arrays());
  });

  it('tells every single damaged, missing or added byte', async () => {
    const path = join(folder, 'last');
    await writeCheckpoint(path, { step: 7 }, arrays());
    const good = await readFile(path);
    const outcome = async (bytes: Uint8Array): Promise<string> => {
      await writeFile(path, bytes);
      try {
        await readCheckpoint(path, () => blank());
        return 'read';
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    expect(await outcome(good)).toBe('read');
    expect(await outcome(Buffer.concat([good, Buffer.of(0)]))).toBe('checkpoint.corrupt');
    for (let i = 0; i < good.length; i++) {
      const damaged = Buffer.from(good);
      damaged[i] ^= 0x20;
      expect(await outcome(damaged)).toMatch(/^checkpoint\./);
      expect(await outcome(good.subarray(0, i))).toMatch(/^checkpoint\./);
    }
  });

  it('names the array that does not fit', async () => {
    const path = join(folder, 'last');
    await writeCheckpoint(path, {}, arrays());
    const missing = blank();
    missing.delete('mask/a');
    await expect(readCheckpoint(path, () => missing)).rejects.toMatchObject({
      code: 'checkpoint.mismatch',
      details: { field: 'mask/a' },
    });
    const extra = blank().set('weight/b', new Float32Array(1));
    await expect(readCheckpoint(path, () => extra)).rejects.toMatchObject({ details: { field: 'weight/b' } });
  });
});
