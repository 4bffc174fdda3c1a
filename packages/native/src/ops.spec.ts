import * as fc from 'fast-check';
import { Tensor, float, int } from '../../core/src/graph';
import type { Attribute } from '../../core/src/graph';
import { erf } from '../../core/src/ops/unary';
import { describeNative, nativeLibrary, nodeModel, numbersOf, tensor, values } from '../test/support';
import type { NativeError, NativeTensor } from '.';

interface Call {
  readonly op: string;
  readonly inputs: Readonly<Record<string, NativeTensor>>;
  /** Dimensions of the outputs. */
  readonly outputs: readonly (readonly number[])[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Names of inputs that are initializers. */
  readonly constant?: readonly string[];
  readonly threads?: number;
  readonly cpu?: string;
  /** Dynamic dimensions instead of the true ones. */
  readonly dynamic?: boolean;
}

const size = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

/** What bfloat16 keeps of float32 values, rounded to nearest even. */
function toBf16({ data }: NativeTensor): Float64Array {
  const bits = new Uint32Array((data as Float32Array).slice().buffer);
  const rounded = bits.map((word) => ((word + 0x7fff + ((word >>> 16) & 1)) >>> 16) << 16);
  return Float64Array.from(new Float32Array(rounded.buffer));
}

describeNative('the operators of the domain modelpress', () => {
  const library = nativeLibrary();

  async function runAll({
    op,
    inputs,
    outputs,
    attributes,
    constant = [],
    dynamic,
    ...options
  }: Call): Promise<number[][]> {
    const shapeOf = (dims: readonly number[], name: string): readonly (number | string)[] =>
      dynamic ? dims.map((_, i) => `${name}${i}`) : dims;
    const model = nodeModel({
      op,
      domain: 'modelpress',
      inputs: Object.fromEntries(
        Object.entries(inputs).map(([name, { dims, data }]) => [
          name,
          {
            shape: shapeOf(dims, name),
            ...(constant.includes(name) && { constant: Tensor.float32(dims, data as Float32Array) }),
          },
        ]),
      ),
      outputs: Object.fromEntries(outputs.map((dims, i) => [`y${i}`, { shape: shapeOf(dims, `y${i}`) }])),
      ...(attributes && { attributes }),
    });
    const session = await library.createSession(model, { threads: 1, ...options });
    try {
      const fed = Object.entries(inputs).flatMap(([name, value]) => (constant.includes(name) ? [] : [value]));
      const made = await session.run(
        fed,
        outputs.map(() => null),
      );
      expect(made.map(({ dims }) => dims)).toEqual(outputs);
      return made.map(({ data }) => numbersOf(data));
    } finally {
      session.release();
    }
  }

  /** The first output. */
  const run = async ({ output, ...call }: Omit<Call, 'outputs'> & { output: readonly number[] }): Promise<number[]> =>
    (await runAll({ ...call, outputs: [output] }))[0]!;

  const expectClose = (actual: readonly number[], expected: readonly number[], tolerance: number): void => {
    expect(actual).toHaveLength(expected.length);
    const worst = Math.max(
      0,
      ...actual.map((value, i) => Math.abs(value - expected[i]!) / (1 + Math.abs(expected[i]!))),
    );
    expect(worst).toBeLessThan(tolerance);
  };

  describe('Bf16Gemm', () => {
    interface Product {
      readonly batch: number;
      readonly m: number;
      readonly n: number;
      readonly k: number;
      readonly transA: boolean;
      readonly transB: boolean;
      readonly alpha: number;
      readonly addend: 'none' | 'row' | 'matrix';
    }

    const operands = ({ batch, m, n, k, transA, transB, addend }: Product): Record<string, NativeTensor> => {
      const dims = (rows: number, columns: number): number[] => (batch > 1 ? [batch, rows, columns] : [rows, columns]);
      const made = (shape: number[], seed: number): NativeTensor => tensor(shape, values(size(shape), seed));
      return {
        a: made(transA ? dims(k, m) : dims(m, k), 1),
        b: made(transB ? dims(n, k) : dims(k, n), 2),
        ...(addend === 'row' && { c: made([n], 3) }),
        ...(addend === 'matrix' && { c: made(dims(m, n), 3) }),
      };
    };

    /** In float64, of operands rounded as the op rounds them. */
    function reference(product: Product, { a, b, c }: Record<string, NativeTensor>): number[] {
      const { batch, m, n, k, transA, transB, alpha } = product;
      const [x, y] = [toBf16(a!), toBf16(b!)];
      const addends = c ? numbersOf(c.data) : [];
      return Array.from({ length: batch * m * n }, (_, index) => {
        const [item, i, j] = [Math.floor(index / (m * n)), Math.floor(index / n) % m, index % n];
        let sum = 0;
        for (let l = 0; l < k; l++) {
          const left = x[item * m * k + (transA ? l * m + i : i * k + l)]!;
          const right = y[item * k * n + (transB ? j * k + l : l * n + j)]!;
          sum += left * right;
        }
        const added = product.addend === 'none' ? 0 : addends[product.addend === 'row' ? j : index]!;
        return alpha * sum + added;
      });
    }

    const attributesOf = ({ transA, transB, alpha }: Product): Record<string, Attribute> => ({
      transA: int(Number(transA)),
      transB: int(Number(transB)),
      alpha: float(alpha),
    });

    const outputOf = ({ batch, m, n }: Product): number[] => (batch > 1 ? [batch, m, n] : [m, n]);

    it('is the product of rounded operands for all shapes, addends, levels and thread counts', async () => {
      const side = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 200 }));
      const product: fc.Arbitrary<Product> = fc.record({
        batch: fc.constantFrom(1, 1, 3),
        m: side,
        n: side,
        k: fc.oneof(side, fc.integer({ min: 380, max: 420 })),
        transA: fc.boolean(),
        transB: fc.boolean(),
        alpha: fc.constantFrom(1, 0.125),
        addend: fc.constantFrom('none', 'row', 'matrix'),
      });
      const machine = fc.record({
        threads: fc.constantFrom(1, 2, 3),
        cpu: fc.constantFrom(...library.cpuLevels),
        dynamic: fc.boolean(),
      });
      await fc.assert(
        fc.asyncProperty(product, machine, fc.boolean(), async (shape, options, isConstant) => {
          const inputs = operands(shape);
          const constant = isConstant ? ['b'] : [];
          const call = { op: 'Bf16Gemm', inputs, output: outputOf(shape), attributes: attributesOf(shape), constant };
          const y = await run({ ...call, ...options, dynamic: options.dynamic && !isConstant });
          expectClose(y, reference(shape, inputs), 2e-5);
        }),
        { numRuns: 50, seed: 8 },
      );
    });

    it('takes leading dimensions of A as rows and gives the same bits on any number of threads', async () => {
      const inputs = { a: tensor([2, 75, 70], values(2 * 75 * 70)), b: tensor([70, 66], values(70 * 66, 2)) };
      const call = { op: 'Bf16Gemm', inputs, output: [2, 75, 66] };
      const one = await run(call);
      expect(await run({ ...call, threads: 3 })).toEqual(one);
      const product: Product = {
        batch: 1,
        m: 150,
        n: 66,
        k: 70,
        transA: false,
        transB: false,
        alpha: 1,
        addend: 'none',
      };
      expectClose(one, reference(product, inputs), 2e-5);
    });

    it.each([
      ['inner dimensions', { a: [3, 4], b: [5, 6] }, 'inner dimensions'],
      ['vectors', { a: [4], b: [4, 6] }, 'at least two dimensions'],
      ['other batches', { a: [2, 3, 4], b: [3, 4, 5] }, 'leading dimensions'],
      ['a short row', { a: [3, 4], b: [4, 6], c: [5] }, 'C is neither'],
      ['a small matrix', { a: [3, 4], b: [4, 6], c: [1, 6] }, 'C is neither'],
    ])('refuses %s', async (_, dims, message) => {
      const inputs = Object.fromEntries(
        Object.entries(dims).map(([name, shape]) => [name, tensor(shape, values(size(shape)))]),
      );
      await expect(run({ op: 'Bf16Gemm', inputs, output: [1, 1], dynamic: true })).rejects.toThrow(message);
    });
  });

  describe('Gelu and GeluGrad', () => {
    const gelu = (x: number): number => (x * (1 + erf(x * Math.SQRT1_2))) / 2;
    const tanhGelu = (x: number): number => (x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))) / 2;
    const slope =
      (f: (x: number) => number) =>
      (x: number): number =>
        (f(x + 1e-4) - f(x - 1e-4)) / 2e-4;
    const count = 16_384 + 37;
    const x = tensor(
      [count],
      values(count).map((value, i) => (i % 5 === 0 ? 20 * value : 3 * value)),
    );
    const dy = tensor([count], values(count, 2));

    it.each([
      ['exact', gelu, {}],
      ['by tanh', tanhGelu, { tanh: int(1) }],
    ])('match float64, %s', async (_, f, attributes) => {
      const g = numbersOf(dy.data);
      const expected = {
        y: numbersOf(x.data).map(f),
        dx: numbersOf(x.data).map((value, i) => g[i]! * slope(f)(value)),
      };
      for (const cpu of library.cpuLevels) {
        const options = { output: [count], attributes, threads: 2, cpu };
        const y = await run({ op: 'Gelu', inputs: { x }, ...options });
        expectClose(y, expected.y, 1e-6);
        const dx = await run({ op: 'GeluGrad', inputs: { x, dy }, ...options });
        expectClose(dx, expected.dx, 2e-6);
      }
    });

    it('refuses a gradient of another shape', async () => {
      const inputs = { x: tensor([3], [1, 2, 3]), dy: tensor([2], [1, 2]) };
      await expect(run({ op: 'GeluGrad', inputs, output: [3], dynamic: true })).rejects.toThrow('differ in shape');
    });
  });

  describe('row-wise operators', () => {
    const [lead, columns] = [[3, 21], 77];
    const rows = size(lead);
    const dims = [...lead, columns];
    const at = (data: Float64Array | readonly number[], row: number, column: number): number =>
      data[row * columns + column]!;
    const made = (seed: number, shape: readonly number[] = dims): NativeTensor =>
      tensor(shape, values(size(shape), seed));
    const eachRow = (f: (row: number) => number[]): number[] => Array.from({ length: rows }, (_, row) => f(row)).flat();
    const mean = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0) / list.length;
    const rowOf = ({ data }: NativeTensor, row: number): number[] =>
      numbersOf(data).slice(row * columns, (row + 1) * columns);

    it('SoftmaxGrad matches float64', async () => {
      const [y, dy] = [made(1), made(2)];
      const expected = eachRow((row) => {
        const [p, g] = [rowOf(y, row), rowOf(dy, row)];
        const dot = p.reduce((sum, value, i) => sum + value * g[i]!, 0);
        return p.map((value, i) => (g[i]! - dot) * value);
      });
      for (const cpu of library.cpuLevels) {
        expectClose(await run({ op: 'SoftmaxGrad', inputs: { y, dy }, output: dims, threads: 2, cpu }), expected, 2e-6);
      }
    });

    /** x, its mean and 1 / standard deviation by row, and what normalises it. */
    const normalised = (x: NativeTensor, epsilon: number) => {
      const means = Array.from({ length: rows }, (_, row) => mean(rowOf(x, row)));
      const inverses = means.map(
        (m, row) => 1 / Math.sqrt(mean(rowOf(x, row).map((value) => (value - m) ** 2)) + epsilon),
      );
      const values64 = eachRow((row) => rowOf(x, row).map((value) => (value - means[row]!) * inverses[row]!));
      return { means, inverses, values64 };
    };

    it('LayerNormGrad matches float64', async () => {
      const [x, dy, scale] = [made(1), made(2), made(3, [columns])];
      const { means, inverses, values64 } = normalised(x, 1e-5);
      const weights = numbersOf(scale.data);
      const g = numbersOf(dy.data);
      const dx = eachRow((row) => {
        const d = weights.map((weight, i) => at(g, row, i) * weight);
        const slope = mean(d.map((value, i) => value * at(values64, row, i)));
        const average = mean(d);
        return d.map((value, i) => (value - average - at(values64, row, i) * slope) * inverses[row]!);
      });
      const sum = (f: (row: number, column: number) => number): number[] =>
        weights.map((_, i) => Array.from({ length: rows }, (__, row) => f(row, i)).reduce((a, b) => a + b, 0));
      const expected = [dx, sum((row, i) => at(g, row, i) * at(values64, row, i)), sum((row, i) => at(g, row, i))];
      const statistics = [...lead, 1];
      const inputs = { x, dy, scale, mean: tensor(statistics, means), inverse: tensor(statistics, inverses) };
      for (const cpu of library.cpuLevels) {
        const options = { outputs: [dims, [columns], [columns]], threads: 3, cpu };
        const results = await runAll({ op: 'LayerNormGrad', inputs, ...options });
        results.forEach((result, i) => expectClose(result, expected[i]!, 5e-6));
      }
    });

    it.each([true, false])('ResidualNorm matches float64 (mask: %s)', async (hasMask) => {
      const [x, residual, scale, bias] = [made(1), made(2), made(3, [columns]), made(4, [columns])];
      const mask = tensor(
        dims,
        values(size(dims), 5).map((value) => (value > -0.8 ? 1.25 : 0)),
      );
      const [terms, factors] = [numbersOf(residual.data), numbersOf(mask.data)];
      const sums = numbersOf(x.data).map((value, i) => value * (hasMask ? factors[i]! : 1) + terms[i]!);
      const { means, inverses, values64 } = normalised({ ...x, data: Float32Array.from(sums) }, 1e-3);
      const y = values64.map(
        (value, i) => value * (scale.data[i % columns] as number) + (bias.data[i % columns] as number),
      );
      const call = {
        op: 'ResidualNorm',
        inputs: { x, residual, scale, bias, ...(hasMask && { mask }) },
        attributes: { epsilon: float(1e-3) },
      };
      for (const cpu of library.cpuLevels) {
        const outputs = [dims, [...lead, 1], [...lead, 1], dims];
        const results = await runAll({ ...call, outputs, threads: 2, cpu });
        [y, means, inverses, sums].forEach((expected, i) => expectClose(results[i]!, expected, 5e-6));
        expectClose(await run({ ...call, output: dims, cpu }), y, 5e-6); // nobody reads the other outputs
      }
    });

    it.each([
      ['SoftmaxGrad', { y: [3, 4], dy: [4, 3] }, 1, 'differ in shape'],
      [
        'LayerNormGrad',
        { x: [3, 4], dy: [3, 4], scale: [5], mean: [3, 1], inverse: [3, 1] },
        3,
        'one element per column',
      ],
      ['LayerNormGrad', { x: [3, 4], dy: [3, 4], scale: [4], mean: [2, 1], inverse: [3, 1] }, 3, 'one element per row'],
      ['ResidualNorm', { x: [3, 4], residual: [4], scale: [4], bias: [4] }, 4, 'X and Residual differ'],
      ['ResidualNorm', { x: [3, 4], residual: [3, 4], scale: [4], bias: [3] }, 4, 'one element per column'],
    ])('%s refuses shapes that do not fit (%#)', async (op, shapes, count, message) => {
      const inputs = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, made(1, shape)]));
      const outputs = Array.from({ length: count }, () => [1, 1]);
      await expect(runAll({ op, inputs, outputs, dynamic: true })).rejects.toThrow(message);
    });
  });

  it('computes or refuses whatever the shapes and attributes, and goes on', async () => {
    const dims = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 4 });
    const attributes = fc.record(
      {
        transA: fc.integer().map(int),
        transB: fc.integer({ min: 0, max: 1 }).map(int),
        alpha: fc.float().map(float),
        epsilon: fc.float().map(float),
        tanh: fc.integer().map(int),
      },
      { requiredKeys: [] },
    );
    const [inputs, outputs] = [
      { Bf16Gemm: 3, Gelu: 1, GeluGrad: 2, SoftmaxGrad: 2, LayerNormGrad: 5, ResidualNorm: 5 } as const,
      { Bf16Gemm: 1, Gelu: 1, GeluGrad: 1, SoftmaxGrad: 1, LayerNormGrad: 3, ResidualNorm: 4 } as const,
    ];
    const op = fc.constantFrom(...(Object.keys(inputs) as (keyof typeof inputs)[]));
    // often the shapes agree: then it gets as far as the kernel
    const shapes = fc.oneof(
      fc.array(dims, { minLength: 5, maxLength: 5 }),
      dims.map((shape) => [shape, shape, shape.slice(-1), shape.slice(-1), shape]),
      dims.map((shape) => [shape, shape, shape.slice(-1), [...shape.slice(0, -1), 1], [...shape.slice(0, -1), 1]]),
    );
    let computed = 0;
    await fc.assert(
      fc.asyncProperty(op, shapes, attributes, async (name, all, given) => {
        const model = nodeModel({
          op: name,
          domain: 'modelpress',
          inputs: Object.fromEntries(
            all.slice(0, inputs[name]).map((shape, i) => [`x${i}`, { shape: shape.map((_, d) => `x${i}d${d}`) }]),
          ),
          outputs: Object.fromEntries(Array.from({ length: outputs[name] }, (_, i) => [`y${i}`, { shape: ['n'] }])),
          attributes: given,
        });
        const session = await library.createSession(model, { threads: 2 });
        const fed = all.slice(0, inputs[name]).map((shape) => tensor(shape, values(size(shape))));
        const outcome = await session
          .run(
            fed,
            session.outputs.map(() => null),
          )
          .then(
            () => 'computed',
            ({ code, message }: NativeError) => `${code}: ${message}`,
          );
        session.release();
        if (outcome === 'computed') computed++;
        expect(outcome).toMatch(new RegExp(`^computed$|^ort\\.2: .*modelpress\\.${name}: `));
      }),
      { numRuns: 300, seed: 8 },
    );
    expect(computed).toBeGreaterThan(30);
  });
});
