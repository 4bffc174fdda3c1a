import fc from 'fast-check';
import { ModelpressError } from '../errors';
import { Graph, Model, Node, Tensor, Value } from '../graph';
import type { DType, Shape } from '../graph';
import { GraphBuilder } from '../graph/builder';
import type { OpName } from '.';
import { inferNode } from './infer';
import { divideDims, productDim } from './shapes';

const newBuilder = (): GraphBuilder => new GraphBuilder(new Model(new Graph()));

/** The shape an op gives for inputs of the given shapes, then constants. */
function shapeOf(
  op: OpName,
  inputs: readonly Shape[],
  constants: readonly (readonly number[])[] = [],
  attributes: Record<string, number | readonly number[]> = {},
  dtype: DType = 'float32',
): Shape | undefined {
  const build = newBuilder();
  const values = inputs.map((shape, i) => build.input(`x${i}`, dtype, shape));
  return build.op(op, [...values, ...constants.map((list) => build.int64s(list))], attributes).shape;
}

/** The error that building an op raises. */
function errorOf(make: (build: GraphBuilder) => unknown): ModelpressError {
  try {
    make(newBuilder());
  } catch (error) {
    if (error instanceof ModelpressError) return error;
  }
  throw new Error('Nothing was thrown.');
}

describe('symbolic dimensions', () => {
  it('broadcast with equal symbols, ones and numbers', () => {
    expect(
      shapeOf('Add', [
        ['batch', 1, 8],
        ['sequence', 8],
      ]),
    ).toEqual(['batch', 'sequence', 8]);
    expect(
      shapeOf('Mul', [
        ['batch', 4],
        [3, 1],
      ]),
    ).toEqual([3, 4]);
    expect(
      shapeOf('Add', [
        ['batch', 4],
        ['rows', 4],
      ]),
    ).toEqual(['Add.0', 4]);
  });

  it('pass through matrix products and batches', () => {
    expect(
      shapeOf('MatMul', [
        ['batch', 'sequence', 64],
        [64, 256],
      ]),
    ).toEqual(['batch', 'sequence', 256]);
    expect(
      shapeOf('MatMul', [
        ['batch', 4, 'sequence', 16],
        ['batch', 4, 16, 'sequence'],
      ]),
    ).toEqual(['batch', 4, 'sequence', 'sequence']);
  });

  it('survive Reshape', () => {
    expect(shapeOf('Reshape', [['batch', 'sequence', 64]], [[0, 0, 4, 16]])).toEqual(['batch', 'sequence', 4, 16]);
    expect(shapeOf('Reshape', [['batch', 'sequence', 4, 16]], [[0, 0, -1]])).toEqual(['batch', 'sequence', 64]);
    expect(shapeOf('Reshape', [['batch', 'sequence', 64]], [[-1, 64]])).toEqual(['batch*sequence', 64]);
    expect(shapeOf('Reshape', [['batch', 6]], [[-1, 4]])).toEqual(['Reshape.0', 4]);
    expect(shapeOf('Flatten', [['batch', 3, 4]], [], { axis: 1 })).toEqual(['batch', 12]);
  });

  it('get fresh names where the result is unknown', () => {
    expect(
      shapeOf(
        'Concat',
        [
          ['batch', 3],
          ['batch', 4],
        ],
        [],
        { axis: 1 },
      ),
    ).toEqual(['batch', 7]);
    expect(
      shapeOf(
        'Concat',
        [
          ['batch', 3],
          ['batch', 3],
        ],
        [],
        { axis: 0 },
      ),
    ).toEqual(['Concat.0', 3]);
    expect(shapeOf('Slice', [['batch', 9]], [[1], [2 ** 31], [0]])).toEqual(['Slice.0', 9]);
    expect(shapeOf('Slice', [['batch', 9]], [[0], [2 ** 40], [0]])).toEqual(['batch', 9]);
    expect(shapeOf('Reshape', [['batch', 9], [3]], [], {}, 'int64')).toEqual(['Reshape.0', 'Reshape.1', 'Reshape.2']);
  });

  it('multiply and divide as products', () => {
    expect(productDim(['batch', 2, 'sequence', 3])).toBe('6*batch*sequence');
    expect(divideDims(['6*batch*sequence'], ['sequence', 2])).toBe('3*batch');
    expect(divideDims(['batch'], ['sequence'])).toBeUndefined();
    expect(divideDims([7], [2])).toBeUndefined();
  });
});

/** The shape of a sum, or the code of the refusal. */
function shapeOrCode(a: Shape, b: Shape): Shape | string | undefined {
  try {
    return shapeOf('Add', [a, b]);
  } catch (error) {
    return ModelpressError.from(error).code;
  }
}

describe('broadcasting', () => {
  const dims = fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 4 });

  it('is symmetric, and repeats each dimension or refuses', () => {
    fc.assert(
      fc.property(dims, dims, (a, b) => {
        const rank = Math.max(a.length, b.length);
        const padded = [a, b].map((list) => [...Array<number>(rank - list.length).fill(1), ...list]);
        const fits = padded[0].every((dim, i) => dim === padded[1][i] || dim === 1 || padded[1][i] === 1);
        const expected = fits ? padded[0].map((dim, i) => Math.max(dim, padded[1][i])) : 'ops.shape';
        expect([shapeOrCode(a, b), shapeOrCode(b, a)]).toEqual([expected, expected]);
      }),
    );
  });
});

describe('Slice', () => {
  it('has as many elements as it picks', () => {
    const bound = fc.integer({ min: -8, max: 8 });
    const step = fc.integer({ min: -3, max: 3 }).filter((value) => value !== 0);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), bound, bound, step, (length, start, end, stride) => {
        const build = newBuilder();
        const list = Array.from({ length }, (_, i) => i);
        const sliced = build.op('Slice', [
          build.int64s(list),
          ...[start, end, 0, stride].map((value) => build.int64s([value])),
        ]);
        expect(sliced.shape).toEqual([pythonSlice(list, start, end, stride).length]);
      }),
    );
  });
});

/** list[start:end:step] as Python defines it, element by element. */
function pythonSlice(list: readonly number[], start: number, end: number, step: number): number[] {
  const wrap = (i: number): number => (i < 0 ? i + list.length : i);
  const [low, high] = step > 0 ? [0, list.length] : [-1, list.length - 1];
  const bounded = (i: number): number => Math.min(high, Math.max(low, wrap(i)));
  const picked: number[] = [];
  for (let i = bounded(start); step > 0 ? i < bounded(end) : i > bounded(end); i += step) picked.push(list[i]);
  return picked;
}

describe('errors', () => {
  it('name node, op and reason', () => {
    const error = errorOf((build) => {
      const [a, b] = [build.input('a', 'float32', [2, 3]), build.input('b', 'float32', [4, 5])];
      build.scope('layer.0', () => build.op('MatMul', [a, b], {}, 'query'));
    });
    expect(error.toJSON()).toEqual({
      kind: 'invalid',
      code: 'ops.shape',
      message: 'node "layer.0.query" (MatMul): cannot multiply [2,3] by [4,5]: inner dimensions differ.',
      details: { node: 'layer.0.query', op: 'MatMul' },
    });
  });

  it('refuse an unknown op, and Einsum with advice', () => {
    const node = new Node('Fancy', 'org.example', 'fancy', [], [new Value('y')]);
    expect(() => inferNode(node, 21)).toThrow(
      'modelpress does not know the operator org.example.Fancy of node "fancy".',
    );
    const einsum = errorOf((build) => build.op('Einsum', [build.scalar(1)], { equation: '->' }));
    expect([einsum.code, einsum.message]).toEqual([
      'ops.unsupported-form',
      'node "Einsum" (Einsum): Einsum "->" is not supported; export the model with MatMul, Transpose and Reshape instead.',
    ]);
  });

  it('refuse mixed types, unknown ranks and training-mode dropout', () => {
    const mixed = errorOf((build) => build.op('Add', [build.scalar(1), build.scalar(1, 'int64')]));
    expect([mixed.code, mixed.message]).toEqual(['ops.dtype', 'node "Add" (Add): mixes float32 and int64 inputs.']);
    const rank = errorOf((build) => {
      const shape = build.input('shape', 'int64', ['n']);
      build.op('Relu', [build.op('Transpose', [build.op('ConstantOfShape', [shape])])]);
    });
    expect([rank.code, rank.details.node]).toEqual(['ops.dynamic-rank', 'Transpose']);
    const dropout = errorOf((build) =>
      build.op('Dropout', [build.scalar(1), build.scalar(0.1), build.constant(Tensor.bool([], [true]))]),
    );
    expect(dropout.code).toBe('ops.unsupported-form');
  });
});
