import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describeWithShared, sharedPath } from '../../../../tools/shared-fixtures';
import { ModelpressError } from '../errors';
import { byteLength, sizeOf, Tensor } from '../graph';
import type { DType } from '../graph';
import { toFloat32 } from './half';
import { SafetensorsFile, writeSafetensors } from './safetensors';
import type { TensorToWrite } from './safetensors';
import { SAFETENSORS_DTYPES } from './safetensors-header';

let dir: string;
let path: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'safetensors-'));
  path = join(dir, 'a.safetensors');
});
afterAll(() => rmSync(dir, { recursive: true }));

const toWrite = (name: string, tensor: Tensor): TensorToWrite => ({
  name,
  dtype: tensor.dtype,
  dims: tensor.dims,
  load: () => tensor,
});

/** A file from a header as text and its data. */
function writeRaw(header: string | Uint8Array, data: Uint8Array, statedLength?: bigint): void {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(statedLength ?? BigInt(json.length));
  writeFileSync(path, Buffer.concat([prefix, json, data]));
}

const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (error instanceof ModelpressError) return error.code;
    throw error;
  }
  return 'no error';
};

function readEverything(): void {
  const file = SafetensorsFile.open(path);
  for (const name of file.tensors.keys()) file.read(name);
  file.close();
}

describe('safetensors', () => {
  const tensors = fc.array(
    fc.record({
      name: fc.string({ minLength: 1, maxLength: 12 }).filter((name) => name !== '__metadata__'),
      dtype: fc.constantFrom(...Object.values(SAFETENSORS_DTYPES)) as fc.Arbitrary<DType>,
      dims: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
      seed: fc.integer({ min: 0, max: 255 }),
    }),
    { maxLength: 6 },
  );

  it('reads back what it wrote, whatever names, types and shapes', () => {
    fc.assert(
      fc.property(tensors, (list) => {
        const unique = [...new Map(list.map((item) => [item.name, item])).values()];
        const written = unique.map(({ name, dtype, dims, seed }) => {
          const bytes = new Uint8Array(byteLength(dtype, sizeOf(dims))).map((_, i) => (seed + i) % 256);
          return toWrite(name, new Tensor(dtype, dims, bytes));
        });
        writeSafetensors(path, written);
        const file = SafetensorsFile.open(path);
        try {
          expect([...file.tensors.keys()].sort()).toEqual(written.map(({ name }) => name).sort());
          for (const { name, load } of written) {
            const read = file.read(name);
            expect([read.dtype, read.dims]).toEqual([load().dtype, load().dims]);
            expect(Buffer.compare(read.bytes, load().bytes)).toBe(0);
          }
        } finally {
          file.close();
        }
      }),
      { numRuns: 50 },
    );
  });

  it('never crashes on a damaged file: it reads it or raises a typed error', () => {
    writeSafetensors(path, [toWrite('a', Tensor.float32([3], [1, 2, 3])), toWrite('b', Tensor.int64([1], [7]))]);
    const good = readFileSync(path);
    fc.assert(
      fc.property(
        fc.nat(good.length - 1),
        fc.integer({ min: 0, max: 255 }),
        fc.nat(good.length),
        (at, byte, length) => {
          const bad = Buffer.from(good);
          bad[at] = byte;
          writeFileSync(path, bad.subarray(0, length));
          expect(codeOf(readEverything)).toMatch(/^(no error|safetensors\..*)$/);
        },
      ),
      { numRuns: 300 },
    );
  });

  const f32 = (name: string, begin: number, end: number, shape = [1]): string =>
    `"${name}":{"dtype":"F32","shape":${JSON.stringify(shape)},"data_offsets":[${begin},${end}]}`;

  it.each([3n, 1000n, 2n ** 63n])('refuses a header of %s bytes in a file that has two', (stated) => {
    writeRaw('{}', new Uint8Array(), stated);
    expect(codeOf(() => SafetensorsFile.open(path))).toBe('safetensors.header-length');
  });

  it.each<[string, string, string, number]>([
    ['a header that is not JSON', 'safetensors.json', '{"a":', 0],
    ['a header that is a list', 'safetensors.json', '[]', 0],
    ['a size that does not fit the shape', 'safetensors.size', `{${f32('a', 0, 8)}}`, 8],
    ['a shape whose product overflows', 'safetensors.size', `{${f32('a', 0, 4, [2 ** 40, 2 ** 40])}}`, 4],
    ['a negative dimension', 'safetensors.entry', `{${f32('a', 0, 4, [-1])}}`, 4],
    ['offsets that run backwards', 'safetensors.size', `{${f32('a', 4, 0)}}`, 4],
    ['overlapping tensors', 'safetensors.offsets', `{${f32('a', 0, 8, [2])},${f32('b', 4, 8)}}`, 8],
    ['two names for the same bytes', 'safetensors.offsets', `{${f32('a', 0, 4)},${f32('b', 0, 4)}}`, 4],
    ['a hole', 'safetensors.offsets', `{${f32('a', 0, 4)},${f32('b', 8, 12)}}`, 12],
    ['data past the end', 'safetensors.total', `{${f32('a', 0, 8, [2])}}`, 4],
    ['bytes that no tensor owns', 'safetensors.total', `{${f32('a', 0, 4)}}`, 12],
    [
      'an unknown element type',
      'safetensors.dtype',
      '{"a":{"dtype":"constructor","shape":[],"data_offsets":[0,4]}}',
      4,
    ],
    [
      'a field that the format does not have',
      'safetensors.entry',
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}',
      1,
    ],
    ['metadata that is not text', 'safetensors.metadata', '{"__metadata__":{"a":1}}', 0],
  ])('refuses %s (%s)', (_, code, header, dataBytes) => {
    writeRaw(header, new Uint8Array(dataBytes));
    expect(codeOf(() => SafetensorsFile.open(path))).toBe(code);
  });

  it('refuses a file of 5 bytes and a header that is not UTF-8', () => {
    writeFileSync(path, 'short');
    expect(codeOf(() => SafetensorsFile.open(path))).toBe('safetensors.too-short');
    writeRaw(Uint8Array.of(0x7b, 0xff, 0x7d), new Uint8Array());
    expect(codeOf(() => SafetensorsFile.open(path))).toBe('safetensors.json');
  });

  it('says so when the file shrinks after it was opened, and when a tensor is absent', () => {
    writeSafetensors(path, [toWrite('a', Tensor.float32([3], [1, 2, 3]))]);
    const file = SafetensorsFile.open(path);
    truncateSync(path, 20);
    expect(codeOf(() => file.read('a'))).toBe('safetensors.truncated');
    expect(codeOf(() => file.read('b'))).toBe('safetensors.missing');
    file.close();
  });

  it('reads a tensor at an odd offset into aligned memory', () => {
    const data = Buffer.alloc(5);
    data.writeFloatLE(1.5, 1);
    writeRaw(`{"pad":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},${f32('a', 1, 5)}}`, data);
    const file = SafetensorsFile.open(path);
    expect(file.read('a').toNumbers()).toEqual([1.5]);
    file.close();
  });

  it('converts half types exactly', () => {
    const half = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x8000, 0x3555);
    expect(toFloat32(Tensor.of('float16', [7], half)).toNumbers()).toEqual([
      1,
      -2,
      2 ** -24,
      65504,
      Infinity,
      -0,
      0x555 / 4096,
    ]);
    const brain = Uint16Array.of(0x3f80, 0xc000, 0x7f80, 0x4049);
    expect(toFloat32(Tensor.of('bfloat16', [4], brain)).toNumbers()).toEqual([1, -2, Infinity, 3.140625]);
    expect(() => toFloat32(Tensor.int64([1], [1]))).toThrow(ModelpressError);
  });
});

describeWithShared('safetensors of the reference implementation', () => {
  it.each(['bert', 'gpt2'])('writes %s byte for byte as it was read', (name) => {
    const source = sharedPath('fixtures', 'hf', name, 'model.safetensors');
    const file = SafetensorsFile.open(source);
    const list = [...file.tensors].map(([tensor, { dtype, dims }]) => ({
      name: tensor,
      dtype,
      dims,
      load: () => file.read(tensor),
    }));
    writeSafetensors(path, list, file.metadata);
    file.close();
    expect(Buffer.compare(readFileSync(path), readFileSync(source))).toBe(0);
  });
});
