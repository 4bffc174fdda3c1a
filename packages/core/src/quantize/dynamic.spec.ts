import { ModelpressError } from '../errors';
import { float as floatAttribute, int, ints, ONNX_DOMAIN } from '../graph';
import type { Model, Tensor, Value } from '../graph';
import { quantizeDynamicInt8 } from './dynamic';
import type { DynamicInt8Options } from './dynamic';
import { EMISSION_FORMS } from './emit';
import type { QuantizeResult } from './quantize';
import { noise, relativeError, run, SiteBuilder } from './testing';
import { exclusionsSchema } from './exclude';

/** Runs a graph in float and in int8, in both forms, and returns the last result. */
async function compare(
  build: (b: SiteBuilder) => Value,
  bound: number,
  options: Partial<DynamicInt8Options> = {},
): Promise<{ model: Model; result: QuantizeResult }> {
  const make = (): Model => {
    const builder = new SiteBuilder();
    return builder.finish(build(builder));
  };
  const expected = await run(make());
  for (const form of EMISSION_FORMS) {
    const model = make();
    const result = quantizeDynamicInt8(model, { form, minElements: 0, ...options });
    expect(relativeError(await run(model), expected)).toBeLessThan(bound);
    if (form === EMISSION_FORMS.at(-1)) return { model, result };
  }
  throw new Error('unreachable');
}

const ops = (model: Model): string[] => model.graph.nodes.map((node) => node.opType);

/** Two roundings to 8 bits of values that fill their range evenly. */
const ROUNDING = 0.012;

describe('quantizeDynamicInt8', () => {
  it('replaces MatMul and the Add behind it', async () => {
    const { model, result } = await compare(
      (b) =>
        b.node('Add', [b.weight('bias', [24], 5), b.node('MatMul', [b.x, b.weight('w', [32, 24])], 'product')], 'sum'),
      ROUNDING,
    );
    expect(ops(model)).toEqual(['DynamicQuantizeMatMul']);
    expect(model.graph.value('w').constant).toMatchObject({ dtype: 'int8', dims: [32, 24] });
    expect(model.graph.value('bias').constant).toEqual(noise([24], 5));
    expect(result.quantized).toEqual([
      {
        weight: 'w',
        component: undefined,
        layer: undefined,
        nodes: ['product'],
        bytesBefore: 4 * 32 * 24,
        bytesAfter: 32 * 24 + 4 * 24,
        relativeError: expect.closeTo(0.005, 2) as number,
        transposed: false,
      },
    ]);
  });

  it.each<[string, (b: SiteBuilder) => Value]>([
    ['Gemm', (b) => b.node('Gemm', [b.x, b.weight('w', [32, 24]), b.weight('c', [24], 2)], 'g')],
    [
      'Gemm with transB',
      (b) => b.node('Gemm', [b.x, b.weight('w', [24, 32]), b.weight('c', [1, 24], 2)], 'g', { transB: int(1) }),
    ],
    [
      'Gemm with alpha and beta',
      (b) =>
        b.node('Gemm', [b.x, b.weight('w', [32, 24]), b.weight('c', [24], 2)], 'g', {
          alpha: floatAttribute(-0.5),
          beta: floatAttribute(3),
        }),
    ],
    [
      'Gemm without bias, followed by Add',
      (b) => b.node('Add', [b.node('Gemm', [b.x, b.weight('w', [32, 24])], 'g'), b.weight('c', [24], 2)], 'a'),
    ],
    [
      'a weight behind Transpose',
      (b) => b.node('MatMul', [b.x, b.node('Transpose', [b.weight('w', [24, 32])], 't', { perm: ints([1, 0]) })], 'm'),
    ],
    [
      'a weight behind Identity and a Transpose without perm',
      (b) =>
        b.node('Gemm', [b.x, b.node('Transpose', [b.node('Identity', [b.weight('w', [32, 24])], 'i')], 't')], 'g', {
          transB: int(1),
        }),
    ],
  ])('quantizes %s', async (_, build) => {
    const { model, result } = await compare(build, ROUNDING);
    expect(ops(model)).toEqual(['DynamicQuantizeMatMul']);
    expect(model.graph.value('w').constant).toMatchObject({ dtype: 'int8', dims: [32, 24] });
    expect(result).toMatchObject({ quantized: [{ transposed: false }], skipped: [] });
  });

  it('quantizes products that feed each other', async () => {
    const { result } = await compare(
      (b) =>
        b.node(
          'MatMul',
          [b.node('MatMul', [b.x, b.weight('down', [32, 4], 1)], 'first'), b.weight('up', [4, 16], 2)],
          'second',
        ),
      2 * ROUNDING,
    );
    expect(result.quantized.map(({ weight }) => weight)).toEqual(['down', 'up']);
  });

  it('quantizes an activation once for all products that read it, in the standard form', () => {
    const b = new SiteBuilder();
    const [q, k] = ['q', 'k'].map((name, i) => b.node('MatMul', [b.x, b.weight(`${name}.w`, [32, 8], i)], name));
    const model = b.finish(b.node('Sub', [q, k], 'difference'));
    quantizeDynamicInt8(model, { form: 'matmul-integer', minElements: 0 });
    expect(ops(model).filter((op) => op === 'DynamicQuantizeLinear')).toHaveLength(1);
    expect(ops(model).filter((op) => op === 'MatMulInteger')).toHaveLength(2);
    expect([...model.opsets.keys()]).toEqual([ONNX_DOMAIN]);
  });

  it('looks up int8 rows, each with its own scale', async () => {
    const { model, result } = await compare(
      (b) => b.node('Gather', [b.weight('table', [40, 16]), b.ids], 'look'),
      0.006,
    );
    expect(ops(model)).toEqual(['Gather', 'Gather', 'Cast', 'Mul']);
    expect(result.quantized[0]).toMatchObject({ weight: 'table', bytesAfter: 40 * 16 + 4 * 40 });
  });

  it('stores one int8 copy of a table that is also the output matrix', async () => {
    const { model, result } = await compare((b) => {
      const table = b.weight('table', [40, 16]);
      const turned = b.node('Transpose', [table], 'turn', { perm: ints([1, 0]) });
      return b.node('MatMul', [b.node('Gather', [table, b.ids], 'look'), turned], 'decode');
    }, 2 * ROUNDING);
    expect(result.quantized).toHaveLength(1);
    expect(result.quantized[0]).toMatchObject({
      nodes: ['look', 'decode'],
      bytesAfter: 40 * 16 + 2 * 4 * 40,
      transposed: true,
    });
    expect(model.graph.initializers.filter((value) => value.dtype === 'int8')).toHaveLength(1);
  });

  it('overwrites float weights only where told, and only what nothing else reads', () => {
    const shared = noise([32, 16], 1);
    const make = (): Model => {
      const b = new SiteBuilder();
      const products = ['a', 'b'].map((name) => b.node('MatMul', [b.x, b.graph.addInitializer(name, shared)], name));
      return b.finish(b.node('Sum', [...products, b.node('MatMul', [b.x, b.weight('own', [32, 16], 2)], 'c')], 'sum'));
    };
    const kept = make();
    const overwritten = make();
    const own = overwritten.graph.value('own').constant!.bytes;
    quantizeDynamicInt8(kept, { form: 'matmul-integer', minElements: 0 });
    quantizeDynamicInt8(overwritten, { form: 'matmul-integer', minElements: 0, overwrite: true });
    for (const { name, constant } of kept.graph.initializers) {
      expect(overwritten.graph.value(name).constant).toEqual(constant);
    }
    expect(overwritten.graph.value('own').constant!.bytes.buffer).toBe(own.buffer);
    // The last reader of the shared memory may take it, not the first.
    expect(overwritten.graph.value('a').constant!.bytes.buffer).not.toBe(shared.bytes.buffer);
  });

  it('keeps what is excluded and says why', async () => {
    const build = (b: SiteBuilder): Value => {
      const a = b.node('MatMul', [b.x, b.weight('a.w', [32, 32], 1)], 'a');
      const c = b.node('MatMul', [a, b.weight('b.w', [32, 32], 2)], 'b');
      const d = b.node('MatMul', [c, b.weight('c.w', [32, 32], 3)], 'c');
      return b.node('MatMul', [d, b.weight('d.w', [32, 3], 4)], 'd');
    };
    const { model, result } = await compare(build, 0.05, {
      minElements: 100,
      exclude: exclusionsSchema.parse({ components: ['W_Q'], layers: [1], names: ['no-such-node'] }),
      components: [
        { component: 'W_Q', layer: 0, weight: 'a.w' },
        { component: 'W_I', layer: 1, weight: 'b.w' },
        { component: 'W_I', layer: 2, weight: 'c.w' },
      ],
    });
    expect(ops(model)).toEqual(['MatMul', 'MatMul', 'DynamicQuantizeMatMul', 'MatMul']);
    expect(result.quantized).toMatchObject([{ weight: 'c.w', component: 'W_I', layer: 2 }]);
    expect(result.skipped).toEqual([
      { node: 'a', op: 'MatMul', weight: 'a.w', reason: 'component W_Q is excluded' },
      { node: 'b', op: 'MatMul', weight: 'b.w', reason: 'layer 1 is excluded' },
      {
        node: 'd',
        op: 'MatMul',
        weight: 'd.w',
        reason: 'only 96 elements: fewer bits would not make it smaller or faster',
      },
    ]);
    expect(result.unknownNames).toEqual(['no-such-node']);
  });

  it('passes over what it cannot rewrite, with the reason', () => {
    const b = new SiteBuilder();
    const left = b.node('MatMul', [b.weight('l', [8, 32]), b.node('Transpose', [b.x], 'turn')], 'left');
    const deep = b.node('MatMul', [b.x, b.weight('d', [2, 32, 8])], 'deep');
    const moving = b.node('Gemm', [b.x, b.weight('g', [32, 8]), left], 'moving');
    const turned = b.node('Gemm', [b.x, b.weight('t', [5, 8])], 'turned', { transA: int(1) });
    const model = b.finish(b.node('Sum', [deep, moving, turned], 'sum'));
    const before = ops(model);
    const { quantized, skipped } = quantizeDynamicInt8(model, { form: 'matmul-integer', minElements: 0 });
    expect(quantized).toEqual([]);
    expect(skipped.map(({ node, reason }) => [node, reason])).toEqual([
      ['left', 'the weight is the left operand'],
      ['deep', 'the weight has 3 dimensions, not 2'],
      ['moving', 'the added term is not a constant bias vector'],
      ['turned', 'the left operand is transposed (transA)'],
    ]);
    expect(ops(model)).toEqual(before);
  });

  it('refuses a model that is quantized already, and weights that are not numbers', () => {
    const make = (poison: number): Model => {
      const b = new SiteBuilder();
      const w = b.weight('w', [32, 8]);
      (w.constant as Tensor<'float32'>).data[7] = poison;
      return b.finish(b.node('MatMul', [b.x, w], 'm'));
    };
    const model = make(0.5);
    const options = { form: 'matmul-integer', minElements: 0 } as const;
    quantizeDynamicInt8(model, options);
    expect(() => quantizeDynamicInt8(model, options)).toThrow(
      expect.objectContaining({
        code: 'quantize.already-quantized',
        details: { node: 'm_DynamicQuantizeLinear', op: 'DynamicQuantizeLinear' },
      }),
    );
    for (const poison of [Number.NaN, Infinity, -Infinity]) {
      expect(() => quantizeDynamicInt8(make(poison), options)).toThrow('Weight "w" holds NaN or infinity.');
    }
    expect(() => quantizeDynamicInt8(make(1), { ...options, signal: AbortSignal.abort() })).toThrow(ModelpressError);
  });
});
