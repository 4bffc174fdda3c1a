import { differentiate } from '../autodiff';
import { Model, Tensor } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { inferShapes } from '../passes';
import { ortRuntime } from '../runtime';
import { exclusionsSchema } from './exclude';
import { blockOrder, fakeQuantize, learnedScales } from './fake-quantize';
import type { FakeQuantized, FakeQuantizeOptions } from './fake-quantize';
import { quantizeModel } from './quantize';
import { decodeBlocks, outputRows, roundToBlocks } from './blocks';
import { FEEDS, noise, relativeError, run, SiteBuilder } from './testing';

const WIDTH = 32;
const OUTPUTS = 6;

/** y = x W + b */
function make(): Model {
  const b = new SiteBuilder();
  const product = b.node('MatMul', [b.x, b.weight('w', [WIDTH, OUTPUTS], 1)], 'm');
  const model = b.finish(b.node('Add', [product, b.weight('b', [OUTPUTS], 2)], 'sum'));
  b.x.shape = [5, WIDTH];
  inferShapes(model);
  return model;
}

const options = (given: Partial<FakeQuantizeOptions> = {}): FakeQuantizeOptions => ({
  exclude: exclusionsSchema.parse({}),
  components: [],
  minElements: 0,
  ...given,
});

function faked(given: Partial<FakeQuantizeOptions>): { model: Model; fake: FakeQuantized } {
  const model = make();
  return { model, fake: fakeQuantize(model, options(given)) };
}

/** Sets a learned scale's parameter. */
function setScale(model: Model, parameter: string, d: Float32Array): void {
  model.graph.value(parameter).constant = Tensor.float32([d.length], d);
}

const GRID = { scale: 2 / 255, zeroPoint: 128 };

describe('quantization in a training graph', () => {
  /** Scales that saturate some weights and not others. */
  const D = Float32Array.from({ length: OUTPUTS }, (_, i) => -0.55 + 0.2 * i);

  it('int8 weights compute what rounding and saturating them does', async () => {
    const { model, fake } = faked({});
    expect(fake).toMatchObject({ weights: [{ of: 'w', transposed: false }], activations: [] });
    setScale(model, fake.weights[0].parameter, D);
    const scales = learnedScales(fake.weights[0], D);
    const decoded = make();
    decoded.graph.value('w').constant = Tensor.float32(
      [WIDTH, OUTPUTS],
      noise([WIDTH, OUTPUTS], 1).data.map((x, i) => {
        const s = scales[i % OUTPUTS];
        return s * Math.min(127, Math.max(-127, Math.round(x / s)));
      }),
    );
    expect(relativeError(await run(model), await run(decoded))).toBeLessThan(1e-5);
  });

  it('int8 weights and activations compute what the finished model will, at any scale', async () => {
    const grids = new Map([['x', GRID]]);
    const { model, fake } = faked({ grids });
    setScale(model, fake.weights[0].parameter, D);
    const finished = make();
    const scales = new Map([['w', learnedScales(fake.weights[0], D)]]);
    quantizeModel(finished, { kind: 'static', outputs: 'float', grids, scales }, { minElements: 0 });
    // The finished model stores its bias in steps of the product's scale.
    expect(relativeError(await run(model), await run(finished))).toBeLessThan(1e-4);
  });

  it.each([false, true])(
    'blocks compute what their codes stand for (weight stored [out, in]: %s)',
    async (transposed) => {
      const build = (): Model => {
        const b = new SiteBuilder();
        const weight = b.weight('w', transposed ? [OUTPUTS, WIDTH] : [WIDTH, OUTPUTS], 1);
        const operand = transposed ? b.node('Transpose', [weight], 'turn') : weight;
        const model = b.finish(b.node('MatMul', [b.x, operand], 'm'));
        b.x.shape = [5, WIDTH];
        inferShapes(model);
        return model;
      };
      const blocks = { bits: 4, block: 16, symmetric: true } as const;
      const model = build();
      const fake = fakeQuantize(model, options({ blocks }));
      const d = Float32Array.from({ length: (OUTPUTS * WIDTH) / 16 }, (_, i) => -0.3 + 0.05 * i);
      setScale(model, fake.weights[0].parameter, d);
      const finished = build();
      const weight = finished.graph.value('w');
      const matrix = outputRows(weight.constant as Tensor<'float32'>, transposed);
      const scales = blockOrder(learnedScales(fake.weights[0], d), OUTPUTS, transposed);
      const { values } = decodeBlocks(roundToBlocks(matrix, blocks, 'w', scales));
      weight.constant = transposed
        ? Tensor.float32([OUTPUTS, WIDTH], values)
        : Tensor.float32([WIDTH, OUTPUTS], outputRows(Tensor.float32([OUTPUTS, WIDTH], values), false).values);
      expect(relativeError(await run(model), await run(finished))).toBeLessThan(1e-5);
    },
  );

  it('gradients are straight through inside the range, and LSQ’s for the scales', async () => {
    const { model, fake } = faked({ grids: new Map([['x', GRID]]) });
    const [learned] = fake.weights;
    setScale(model, learned.parameter, D);
    const { graph } = model;
    const build = new GraphBuilder(model);
    // loss = sum of y * c
    const c = noise([5, OUTPUTS], 8);
    const loss = build.op('ReduceSum', [build.op('Mul', [graph.value('y'), build.constant(c)])], { keepdims: 0 });
    const wanted = [graph.value('w'), graph.value(learned.parameter), graph.value(fake.activations[0].parameter)];
    const gradients = differentiate(build, loss, wanted);
    wanted.forEach((value, i) => build.output(gradients.get(value)!, `g${i}`));
    graph.sort();
    const executable = await ortRuntime.compile(model, { threads: 1, optimization: 'disabled' });
    const { g0, g1, g2 } = await executable.run({ x: FEEDS.x });
    await executable.release();
    const [x, w, cs] = [FEEDS.x.data as Float32Array, noise([WIDTH, OUTPUTS], 1).data, c.data];
    const scales = learnedScales(learned, D);
    const quantized = (v: number, s: number, low: number, high: number): number =>
      s * Math.round(Math.min(high, Math.max(low, v / s)));
    /** d quantized / d s, times s: the parameter is the logarithm. */
    const slope = (v: number, s: number, low: number, high: number): number => {
      const ratio = v / s;
      return s * (ratio < low ? low : ratio > high ? high : Math.round(ratio) - ratio);
    };
    const xq = x.map((v) => quantized(v, GRID.scale, -128, 127));
    const wq = w.map((v, at) => quantized(v, scales[at % OUTPUTS], -127, 127));
    const dw = new Float64Array(w.length);
    const ds = new Float64Array(OUTPUTS);
    for (let i = 0; i < WIDTH; i++) {
      for (let o = 0; o < OUTPUTS; o++) {
        const at = i * OUTPUTS + o;
        let outer = 0;
        for (let row = 0; row < 5; row++) outer += xq[row * WIDTH + i] * cs[row * OUTPUTS + o];
        dw[at] = Math.abs(w[at] / scales[o]) > 127 ? 0 : outer;
        ds[o] += outer * slope(w[at], scales[o], -127, 127);
      }
    }
    let da = 0;
    x.forEach((v, at) => {
      const [row, i] = [Math.floor(at / WIDTH), at % WIDTH];
      let outer = 0;
      for (let o = 0; o < OUTPUTS; o++) outer += wq[i * OUTPUTS + o] * cs[row * OUTPUTS + o];
      da += outer * slope(v, GRID.scale, -128, 127);
    });
    const close = (actual: ArrayLike<number>, expected: ArrayLike<number>): void =>
      expect(relativeError(Array.from(actual), Array.from(expected))).toBeLessThan(1e-4);
    close(g0.data as Float32Array, dw);
    close(g1.data as Float32Array, ds);
    close(g2.data as Float32Array, [da]);
    expect(dw.filter((value) => value === 0).length).toBeGreaterThan(0);
  });

  it('leaves look-ups, excluded weights and what blocks cannot cut as they are', () => {
    const b = new SiteBuilder();
    const table = b.weight('table', [40, WIDTH]);
    const tied = b.node(
      'MatMul',
      [b.node('Gather', [table, b.ids], 'look'), b.node('Transpose', [table], 'turn')],
      'tied',
    );
    const kept = b.node('MatMul', [tied, b.weight('kept', [40, 32], 2)], 'kept.m');
    const uneven = b.node('MatMul', [kept, b.weight('even', [32, 40], 3)], 'even.m');
    const model = b.finish(b.node('MatMul', [uneven, b.weight('uneven', [40, 16], 4)], 'uneven.m'));
    b.ids.shape = [5];
    inferShapes(model);
    const exclude = exclusionsSchema.parse({ names: ['kept'] });
    const blocks = { bits: 4, block: 16, symmetric: true } as const;
    expect(fakeQuantize(model, options({ blocks, exclude })).weights.map(({ of }) => of)).toEqual(['even']);
  });
});
