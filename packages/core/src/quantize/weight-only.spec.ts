import { int, ONNX_DOMAIN, Tensor } from '../graph';
import type { Model, Value } from '../graph';
import { BLOCK_BITS, decodeBlocks, outputRows, roundToBlocks } from './blocks';
import type { BlockBits, BlockFormat, FloatMatrix } from './blocks';
import { compensate, inverseFactor } from './gptq';
import type { WeightOnlyMethod } from './method';
import { quantizeModel } from './quantize';
import type { QuantizeResult } from './quantize';
import { noise, relativeError, run, SiteBuilder } from './testing';

const method = (given: Partial<WeightOnlyMethod> = {}): WeightOnlyMethod => ({
  kind: 'weight-only',
  bits: 4,
  block: 16,
  symmetric: true,
  compute: 'float32',
  ...given,
});

/** Runs a graph whose weights are what the codes stand for, and the quantized graph. */
async function compare(
  build: (b: SiteBuilder) => Value,
  given: Partial<WeightOnlyMethod>,
): Promise<{ model: Model; result: QuantizeResult; error: number }> {
  const make = (): Model => {
    const builder = new SiteBuilder();
    return builder.finish(build(builder));
  };
  const reference = make();
  for (const weight of reference.graph.initializers) {
    const tensor = weight.constant as Tensor<'float32'>;
    if (tensor.dims.length < 2) continue;
    const stored = weight.name.startsWith('t');
    const format = { ...method(given), block: blockFor(tensor, stored, given) };
    const { rows, columns, values } = decodeBlocks(roundToBlocks(outputRows(tensor, stored), format, weight.name));
    const turned = stored ? values : outputRows(Tensor.float32([rows, columns], values), false).values;
    weight.constant = Tensor.float32(tensor.dims, turned);
  }
  const model = make();
  const result = quantizeModel(model, method(given), { minElements: 0 });
  return { model, result, error: relativeError(await run(model, 'all'), await run(reference)) };
}

/** Tables of width 48 take blocks of 16. */
const blockFor = (tensor: Tensor, stored: boolean, { block = 16 }: Partial<WeightOnlyMethod>): BlockFormat['block'] =>
  stored && tensor.dims[1] % block !== 0 ? 16 : block;

const ops = (model: Model): string[] => model.graph.nodes.map((node) => node.opType);

describe.each(BLOCK_BITS)('weights of %i bits', (bits) => {
  it('take the place of the float ones where told, and where they fit', () => {
    const make = (): Model => {
      const b = new SiteBuilder();
      const product = b.node('MatMul', [b.x, b.weight('w', [32, 24], 2)], 'm');
      return b.finish(b.node('MatMul', [product, b.weight('narrow', [24, 16], 3)], 'n'));
    };
    const [kept, overwritten] = [make(), make()];
    const options = { minElements: 0 };
    // A block of 256 inputs, of which there are 24, takes more than 24 floats.
    quantizeModel(kept, method({ bits, block: 256 }), options);
    quantizeModel(overwritten, method({ bits, block: 256 }), { ...options, overwrite: true });
    for (const { name, constant } of kept.graph.initializers) {
      expect(overwritten.graph.value(name).constant).toEqual(constant);
    }
    const inPlace = make();
    const memory = inPlace.graph.value('w').constant!.bytes.buffer;
    quantizeModel(inPlace, method({ bits }), { ...options, overwrite: true });
    expect(inPlace.graph.value('w').constant!.bytes.buffer).toBe(memory);
  });

  it.each([
    ['symmetric', true],
    ['asymmetric', false],
  ])('compute what their codes stand for, %s', async (_, symmetric) => {
    const { model, result, error } = await compare(
      (b) => {
        const table = b.node('Gather', [b.weight('table', [40, 32]), b.ids], 'look');
        const sum = b.node('Add', [b.x, table], 'sum');
        const product = b.node('MatMul', [sum, b.weight('w', [32, 24], 2)], 'm');
        return b.node(
          'Gemm',
          [b.node('Add', [product, b.weight('bias', [24], 3)], 'a'), b.weight('t.g', [7, 24], 4)],
          'g',
          {
            transB: int(1),
          },
        );
      },
      { bits, symmetric },
    );
    expect(error).toBeLessThan(1e-5);
    expect(ops(model).filter((op) => !/^(Bit|Split|Concat|Reshape)/.test(op))).toEqual([
      'GatherBlockQuantized',
      'Add',
      'MatMulNBits',
      'MatMulNBits',
    ]);
    expect(result.quantized.map(({ weight }) => weight)).toEqual(['table', 'w', 't.g']);
  });

  it('take as many bytes as they say', async () => {
    const { result } = await compare((b) => b.node('MatMul', [b.x, b.weight('w', [32, 64])], 'm'), { bits });
    expect(result.quantized[0].bytesAfter).toBe((32 * 64 * bits) / 8 + 4 * 2 * 64);
  });

  it('pad a last block, and share one copy between a look-up and a product', async () => {
    const padded = await compare((b) => b.node('MatMul', [b.x, b.weight('w', [32, 9])], 'm'), { bits, block: 64 });
    expect(padded.error).toBeLessThan(1e-5);
    const { result, error } = await compare(
      (b) => {
        const table = b.weight('table', [40, 48]);
        const turned = b.node('Transpose', [table], 'turn');
        return b.node('MatMul', [b.node('Gather', [table, b.ids], 'look'), turned], 'decode');
      },
      { bits, block: 32 },
    );
    expect(error).toBeLessThan(1e-5);
    expect(result.quantized).toMatchObject([{ weight: 'table', bytesAfter: (40 * 48 * bits) / 8 + 4 * 40 * 3 }]);
  });
});

describe('weight-only quantization', () => {
  it('computes with int8 activations where told, a little less exactly', async () => {
    const { error } = await compare((b) => b.node('MatMul', [b.x, b.weight('w', [32, 24])], 'm'), { compute: 'int8' });
    expect(error).toBeGreaterThan(1e-5);
    expect(error).toBeLessThan(0.02);
  });

  it('gets worse with fewer bits, and better with smaller or asymmetric blocks', () => {
    const matrix: FloatMatrix = { rows: 8, columns: 256, values: noise([8, 256], 5).data };
    const error = (format: Partial<BlockFormat>): number =>
      roundToBlocks(matrix, { bits: 4, block: 64, symmetric: true, ...format }, 'w').relativeError;
    expect(error({ bits: 8 })).toBeLessThan(error({ bits: 6 }) / 3);
    expect(error({ bits: 6 })).toBeLessThan(error({ bits: 4 }) / 3);
    expect(error({ block: 16 })).toBeLessThan(error({ block: 256 }));
    const shifted = { ...matrix, values: matrix.values.map((x) => x + 0.7) };
    expect(roundToBlocks(shifted, { bits: 4, block: 64, symmetric: false }, 'w').relativeError).toBeLessThan(
      roundToBlocks(shifted, { bits: 4, block: 64, symmetric: true }, 'w').relativeError,
    );
  });

  it('says which tables it cannot cut into blocks, and raises the opset for packed 6-bit codes only', () => {
    const make = (): Model => {
      const b = new SiteBuilder();
      const model = b.finish(b.node('Gather', [b.weight('table', [40, 24]), b.ids], 'look'));
      model.opsets.set(ONNX_DOMAIN, 17);
      return model;
    };
    const model = make();
    const { skipped, quantized } = quantizeModel(model, method(), { minElements: 0 });
    expect(quantized).toEqual([]);
    expect(skipped).toEqual([
      { node: 'look', op: 'Gather', weight: 'table', reason: 'its width is not a multiple of 16' },
    ]);
    expect(model.opset).toBe(17);
    const six = make();
    quantizeModel(six, method({ bits: 6 }), { minElements: 0 });
    expect(six.opset).toBe(21);
  });

  it('refuses a model that is quantized so already', () => {
    const b = new SiteBuilder();
    const model = b.finish(b.node('MatMul', [b.x, b.weight('w', [32, 24])], 'm'));
    quantizeModel(model, method(), { minElements: 0 });
    expect(() => quantizeModel(model, method())).toThrow('quantized already');
  });
});

describe('error compensation', () => {
  /** Correlated inputs: each is mostly the one before. */
  function inputs(rows: number, columns: number, seed = 11): Float64Array {
    const own = noise([rows, columns], seed).data;
    const x = new Float64Array(rows * columns);
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        const at = r * columns + c;
        x[at] = c === 0 ? own[at] : 0.8 * x[at - 1] + 0.6 * own[at];
      }
    }
    return x;
  }
  function gram(x: Float64Array, columns: number): Float32Array {
    const h = new Float32Array(columns * columns);
    for (let i = 0; i < columns; i++) {
      for (let j = 0; j < columns; j++) {
        let sum = 0;
        for (let r = 0; r < x.length; r += columns) sum += x[r + i] * x[r + j];
        h[i * columns + j] = sum;
      }
    }
    return h;
  }
  /** Squared Frobenius norm of X (W - W')^T. */
  function outputError(x: Float64Array, { rows, columns, values }: FloatMatrix, decoded: Float32Array): number {
    let total = 0;
    for (let r = 0; r < x.length; r += columns) {
      for (let o = 0; o < rows; o++) {
        let sum = 0;
        for (let c = 0; c < columns; c++) sum += x[r + c] * (values[o * columns + c] - decoded[o * columns + c]);
        total += sum * sum;
      }
    }
    return total;
  }

  it.each<[BlockBits, BlockFormat['block'], boolean]>([
    [4, 32, true],
    [4, 32, false],
    [4, 128, true],
    [4, 256, true],
    [6, 128, true],
  ])(
    'of %i bits in blocks of %i changes unseen outputs less than rounding does (symmetric: %s)',
    (bits, block, symmetric) => {
      const columns = 256;
      const matrix: FloatMatrix = { rows: 12, columns, values: noise([12, columns], 3).data };
      const format: BlockFormat = { bits, block, symmetric };
      const u = inverseFactor(gram(inputs(600, columns), columns), columns, 0.01);
      const unseen = inputs(100, columns, 12);
      const rounded = outputError(unseen, matrix, decodeBlocks(roundToBlocks(matrix, format, 'w')).values);
      const compensated = outputError(unseen, matrix, decodeBlocks(compensate(matrix, u, format, 'w')).values);
      expect(compensated).toBeLessThan(0.6 * rounded);
    },
  );

  it('equals the textbook algorithm, step by step with an inverse that shrinks', () => {
    // Optimal brain quantization in a fixed order: after each column, H^-1 loses that column by elimination.
    const n = 6;
    const h = gram(inputs(40, n), n);
    const w = noise([1, n], 4).data;
    const format: BlockFormat = { bits: 4, block: 16, symmetric: true };
    const codes = compensate({ rows: 1, columns: n, values: w }, inverseFactor(h, n, 0), format, 'w');
    const decoded = decodeBlocks(codes).values;
    const inverse = invert(Float64Array.from(h), n);
    const row = Float64Array.from(w);
    for (let i = 0; i < n; i++) {
      // What the algorithm has made of the weight when its turn comes is rounded to the nearest code.
      const code = Math.min(7, Math.max(-8, Math.round(row[i] / codes.scales[0])));
      expect(codes.values[i] - 8).toBe(code);
      const error = (row[i] - decoded[i]) / inverse[i * n + i];
      const column = Float64Array.from({ length: n }, (_, j) => inverse[i * n + j]);
      for (let j = i + 1; j < n; j++) row[j] -= error * column[j];
      for (let a = 0; a < n; a++) for (let b = 0; b < n; b++) inverse[a * n + b] -= (column[a] * column[b]) / column[i];
    }
  });

  it('factors the inverse', () => {
    const n = 20;
    const h = gram(inputs(60, n), n);
    const u = inverseFactor(h, n, 0);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0; // (H U^T U)_ij
        for (let k = 0; k < n; k++) for (let m = 0; m < n; m++) sum += h[i * n + k] * u[m * n + k] * u[m * n + j];
        expect(sum).toBeCloseTo(i === j ? 1 : 0, 5);
      }
      expect([...u.subarray(i * n, i * n + i)]).toEqual(Array.from({ length: i }, () => 0));
    }
  });

  /** Gauss-Jordan. */
  function invert(a: Float64Array, n: number): Float64Array {
    const inverse = Float64Array.from({ length: n * n }, (_, at) => (at % (n + 1) === 0 ? 1 : 0));
    for (let p = 0; p < n; p++) {
      const pivot = a[p * n + p];
      for (let j = 0; j < n; j++) {
        a[p * n + j] /= pivot;
        inverse[p * n + j] /= pivot;
      }
      for (let i = 0; i < n; i++) {
        if (i === p) continue;
        const factor = a[i * n + p];
        for (let j = 0; j < n; j++) {
          a[i * n + j] -= factor * a[p * n + j];
          inverse[i * n + j] -= factor * inverse[p * n + j];
        }
      }
    }
    return inverse;
  }
});
