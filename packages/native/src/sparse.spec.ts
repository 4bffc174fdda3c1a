import { int, Tensor } from '../../core/src/graph';
import { packSparse, SPARSE_PATTERNS } from '../../core/src/sparse/pack';
import type { SparsePattern } from '../../core/src/sparse/pack';
import { describeNative, nativeLibrary, nodeModel, numbersOf, tensor, values } from '../test/support';

const WIDTHS: Readonly<Record<SparsePattern, number>> = { unstructured: 1, '1x16': 16, '4x1': 4, '1x16-int8': 16 };

/** W [inputs, outputs] whose blocks are zero but for one in five. */
function prunedWeight(inputs: number, outputs: number, pattern: SparsePattern): Float32Array {
  const data = values(inputs * outputs, 7);
  const width = WIDTHS[pattern];
  for (let i = 0; i < inputs * outputs; i++) {
    const block = Math.floor(i / outputs) * Math.ceil(outputs / width) + Math.floor((i % outputs) / width);
    if ((block * 2654435761) % 5 !== 0) data[i] = 0;
  }
  return data;
}

const model = (pack: Uint8Array<ArrayBuffer>, inputs: number, outputs: number, hasBias = true): Uint8Array =>
  nodeModel({
    op: 'SparseGemm',
    domain: 'modelpress',
    inputs: {
      x: { shape: ['rows', inputs] },
      w: { dtype: 'uint8', shape: [pack.length], constant: Tensor.of('uint8', [pack.length], pack) },
      ...(hasBias && { b: { shape: [outputs] } }),
    },
    outputs: { y: { shape: ['rows', outputs] } },
    attributes: { outputs: int(outputs) },
  });

describeNative('modelpress.SparseGemm', () => {
  const library = nativeLibrary();

  it.each(
    SPARSE_PATTERNS.flatMap((pattern) => [
      { pattern, rows: 1, inputs: 40, outputs: 32, threads: 1 },
      { pattern, rows: 7, inputs: 33, outputs: 50, threads: 2 },
      { pattern, rows: 130, inputs: 65, outputs: 17, threads: 3 },
      { pattern, rows: 0, inputs: 3, outputs: 5, threads: 1 },
    ]),
  )('agrees with the dense product: %j', async ({ pattern, rows, inputs, outputs, threads }) => {
    const weight = prunedWeight(inputs, outputs, pattern);
    const pack = packSparse({ inputs, outputs, data: weight }, pattern);
    const session = await library.createSession(model(pack, inputs, outputs), { threads });
    const x = values(rows * inputs, 3);
    const b = values(outputs, 5);
    const [y] = await session.run([tensor([rows, inputs], x), tensor([outputs], b)], [null]);
    session.release();
    expect(y!.dims).toEqual([rows, outputs]);
    numbersOf(y!.data).forEach((got, i) => {
      const [row, column] = [Math.floor(i / outputs), i % outputs];
      let sum = b[column]!;
      for (let k = 0; k < inputs; k++) sum += x[row * inputs + k]! * weight[k * outputs + column]!;
      // int8 rounds both factors by at most 1/254 of the largest, in a fifth of the products
      expect(Math.abs(got - sum)).toBeLessThan(pattern === '1x16-int8' ? 0.002 * (inputs + 1) : 1e-5);
    });
  });

  it('refuses every pack with a changed place or header, and never reads outside', async () => {
    const pack = packSparse({ inputs: 20, outputs: 20, data: prunedWeight(20, 20, '4x1') }, '4x1');
    const damages: ((copy: Uint8Array) => Uint8Array)[] = [
      (copy) => copy.subarray(0, 40),
      (copy) => copy.subarray(0, copy.length - 4),
      ...[0, 8, 12, 24, 32, 40, 64].map((at) => (copy: Uint8Array) => {
        copy[at]! ^= 0xff;
        return copy;
      }),
      (copy) => copy.fill(0xff, 128, 132),
    ];
    for (const damage of damages) {
      const damaged = Uint8Array.from(damage(Uint8Array.from(pack)));
      await expect(library.createSession(model(damaged, 20, 20), { threads: 1 })).rejects.toThrow(
        /SparseGemm: the packed weight is damaged or of another version/,
      );
    }
  });

  it('refuses x and outputs of another size than the weight', async () => {
    const pack = packSparse({ inputs: 8, outputs: 8, data: prunedWeight(8, 8, 'unstructured') }, 'unstructured');
    await expect(library.createSession(model(pack, 8, 9), { threads: 1 })).rejects.toThrow(
      /differs from the packed weight/,
    );
    const session = await library.createSession(model(pack, 7, 8, false), { threads: 1 });
    await expect(session.run([tensor([1, 7], values(7))], [null])).rejects.toThrow(/number of inputs of W/);
    session.release();
  });
});
