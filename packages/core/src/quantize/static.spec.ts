import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import * as ort from 'onnxruntime-node';
import { Tensor } from '../graph';
import type { Model, Value } from '../graph';
import { readModel, writeModel } from '../onnx';
import { inferShapes } from '../passes';
import type { HostTensor } from '../runtime';
import { activationGrids, calibrate } from './calibrate';
import { exclusionsSchema } from './exclude';
import { Histogram } from './histogram';
import type { StaticMethod } from './method';
import type { CalibrationRows } from './observe';
import { quantizeModel } from './quantize';
import { chooseRange, gridOf, RANGE_METHODS, rangeSchema } from './range';
import { noise, relativeError, run, SiteBuilder } from './testing';

const histogramOf = (...batches: readonly Float32Array[]): Histogram => {
  const histogram = new Histogram();
  for (const batch of batches) histogram.add(batch);
  return histogram;
};

describe('a histogram', () => {
  const numbers = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }), { maxLength: 60 });

  it('does not depend on how numbers came in batches, nor on their order', () => {
    fc.assert(
      fc.property(numbers, numbers, (a, b) => {
        const whole = histogramOf(Float32Array.from([...a, ...b])).state;
        expect(histogramOf(Float32Array.from(b), Float32Array.from(a)).state).toEqual(whole);
        expect(Histogram.from(whole).state).toEqual(whole);
        expect(whole.counts.reduce((sum, [, count]) => sum + count, 0)).toBe(a.length + b.length);
      }),
    );
  });

  it('leaves out what is no number', () => {
    const { min, max, counts } = histogramOf(Float32Array.of(NaN, Infinity, -Infinity, 2, -1)).state;
    expect([min, max, counts.length]).toEqual([-1, 2, 2]);
  });
});

describe('ranges', () => {
  /** A bell with one far outlier. */
  const bell = Float32Array.from({ length: 20_001 }, (_, i) =>
    i === 20_000 ? 40 : [...noise([12], i).data].reduce((sum, x) => sum + x, 0) / 2,
  );
  const histogram = histogramOf(bell);
  const range = (given: object) => chooseRange(histogram, rangeSchema.parse(given));
  const error = (low: number, high: number): number => {
    const { scale, zeroPoint } = gridOf([low, high]);
    return bell.subarray(0, 20_000).reduce((sum, x) => {
      const code = Math.min(255, Math.max(0, Math.round(x / scale) + zeroPoint));
      return sum + (x - scale * (code - zeroPoint)) ** 2;
    }, 0);
  };

  it('follow the affine formulas', () => {
    expect(gridOf([-1, 3])).toEqual({ scale: Math.fround(4 / 255), zeroPoint: 64 });
    expect(gridOf([0, 0])).toEqual({ scale: 1, zeroPoint: 0 });
  });

  it('cover everything, nearly everything, or what serves best', () => {
    expect(range({ method: 'min-max' })).toEqual([Math.min(...bell), 40]);
    const [low, high] = range({ method: 'percentile', percentile: 99.9 });
    const inside = bell.filter((x) => x >= low && x <= high).length;
    expect(inside / bell.length).toBeGreaterThan(0.998);
    expect(high).toBeLessThan(5);
    for (const method of ['entropy', 'mse'] as const) {
      const [least, most] = range({ method });
      expect(most).toBeLessThan(40);
      expect(most).toBeGreaterThan(1);
      expect(least).toBeGreaterThanOrEqual(Math.min(...bell));
    }
  });

  it('mse: no end on its grid has a smaller squared error of the numbers themselves', () => {
    // Without the outlier, whose clipping would decide alone.
    const own = bell.subarray(0, 20_000);
    const [low, high] = chooseRange(histogramOf(own), rangeSchema.parse({ method: 'mse' }));
    const best = error(low, high);
    const most = own.reduce((a, b) => Math.max(a, b));
    for (let k = 1; k <= 64; k += 3) expect(error(low, (most * k) / 64)).toBeGreaterThan(0.97 * best);
  });

  it('of nothing but zeros are empty', () => {
    for (const method of RANGE_METHODS) {
      expect(chooseRange(histogramOf(new Float32Array(5)), rangeSchema.parse({ method }))).toEqual([0, 0]);
    }
  });
});

const rowsOf = (count: number): CalibrationRows => ({
  count,
  digest: `rows-${count}`,
  inputs: (row): Record<string, HostTensor> => ({ x: noise([5, 32], row) }),
});

/** Two layers; with `rank` 3 the rows are split into a batch first, as texts are. */
function model(rank = 2): Model {
  const b = new SiteBuilder();
  const layer = (x: Value, name: string, seed: number): Value =>
    b.node(
      'Add',
      [b.node('MatMul', [x, b.weight(`${name}.w`, [32, 32], seed)], name), b.weight(`${name}.b`, [32], 9)],
      `${name}.sum`,
    );
  const shape = b.graph.addInitializer('shape', Tensor.int64([3], [1, -1, 32]));
  const x = rank === 3 ? b.node('Reshape', [b.x, shape], 'reshape') : b.x;
  const result = b.finish(layer(b.node('Relu', [layer(x, 'first', 1)], 'relu'), 'second', 2));
  inferShapes(result);
  return result;
}

async function staticMethod(outputs: StaticMethod['outputs'], rank: number): Promise<StaticMethod> {
  const histograms = await calibrate(model(rank), rowsOf(100));
  return { kind: 'static', outputs, grids: activationGrids(histograms, rangeSchema.parse({})) };
}

/** Ops that ONNX Runtime makes of a model. */
async function fused(given: Model): Promise<string[]> {
  const path = join(mkdtempSync(join(tmpdir(), 'fused-')), 'model.onnx');
  const session = await ort.InferenceSession.create(writeModel(given), {
    optimizedModelFilePath: path,
    logSeverityLevel: 4,
  });
  await session.release();
  return readModel(readFileSync(path)).graph.nodes.map((node) => node.opType);
}

describe('static int8', () => {
  it.each([
    ['float', 2, 'QGemm', 0.02],
    ['float', 3, 'MatMulIntegerToFloat', 0.02],
    ['int8', 2, 'QLinearMatMul', 0.03],
    ['int8', 3, 'QLinearMatMul', 0.03],
  ] as const)('with %s outputs of %i dimensions runs as %s, near to float', async (outputs, rank, op, bound) => {
    const float = model(rank);
    const quantized = model(rank);
    quantizeModel(quantized, await staticMethod(outputs, rank), { minElements: 0 });
    expect(relativeError(await run(quantized), await run(float))).toBeLessThan(bound);
    expect(relativeError(await run(quantized, 'all'), await run(float))).toBeLessThan(bound);
    expect((await fused(quantized)).filter((name) => name === op)).toHaveLength(2);
  });

  it('computes what the affine formulas say', async () => {
    const b = new SiteBuilder();
    const weights = [1, -0.5, 0.25, 2];
    const one = b.finish(
      b.node(
        'MatMul',
        [
          b.x,
          b.graph.addInitializer(
            'w',
            Tensor.float32(
              [32, 1],
              Array.from({ length: 32 }, (_, i) => weights[i % 4]),
            ),
          ),
        ],
        'm',
      ),
    );
    const grid = { scale: 0.01, zeroPoint: 100 };
    quantizeModel(one, { kind: 'static', outputs: 'float', grids: new Map([['x', grid]]) }, { minElements: 0 });
    const x = noise([5, 32], 99).data;
    const scale = 2 / 127;
    const expected = Array.from({ length: 5 }, (_, row) =>
      Array.from({ length: 32 }, (_, i) => {
        const code = Math.min(255, Math.max(0, Math.round(x[row * 32 + i] / grid.scale) + grid.zeroPoint));
        return grid.scale * (code - grid.zeroPoint) * scale * Math.round(weights[i % 4] / scale);
      }).reduce((sum, product) => sum + product, 0),
    );
    expect(relativeError(await run(one, 'all'), expected)).toBeLessThan(1e-4);
  });

  it('reuses a calibration file whatever stays float, and only for the same model and rows', async () => {
    const cache = join(mkdtempSync(join(tmpdir(), 'calibration-')), 'calibration.json');
    let runs = 0;
    const counted = (count: number): CalibrationRows => ({
      ...rowsOf(count),
      inputs: (row) => (runs++, rowsOf(count).inputs(row)),
    });
    const first = await calibrate(model(), counted(20), { cache });
    expect(runs).toBe(20);
    const again = await calibrate(model(), counted(20), { cache });
    expect(runs).toBe(20);
    const stored = (histograms: typeof first): string =>
      JSON.stringify([...histograms].map(([name, histogram]) => [name, histogram.state]));
    expect(stored(again)).toBe(stored(first));
    for (const names of [['first'], ['second.w']]) {
      const partial = model();
      const grids = activationGrids(again, rangeSchema.parse({ method: 'mse' }));
      const exclude = exclusionsSchema.parse({ names });
      const { quantized } = quantizeModel(
        partial,
        { kind: 'static', outputs: 'float', grids },
        { minElements: 0, exclude },
      );
      expect(quantized).toHaveLength(1);
    }
    const other = model();
    (other.graph.value('first.w').constant as Tensor<'float32'>).data[0] = 3;
    await calibrate(other, counted(20), { cache });
    await calibrate(other, counted(21), { cache });
    writeFileSync(cache, '{"format":1,');
    await calibrate(model(), counted(1), { cache });
    expect(runs).toBe(20 + 20 + 21 + 1);
  });

  it('calibrates in memory and a file that do not grow with the number of rows', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'calibration-'));
    const sizes: number[] = [];
    const held: number[] = [];
    for (const count of [50, 1500]) {
      const cache = join(folder, `${count}.json`);
      const histograms = await calibrate(model(), rowsOf(count), { cache });
      sizes.push(statSync(cache).size);
      held.push([...histograms.values()].reduce((sum, { counts }) => sum + counts.byteLength, 0));
    }
    // Thirty times the rows fill more of the same bins.
    expect(sizes[1]).toBeLessThan(3 * sizes[0]);
    expect(held[1]).toBe(held[0]);
  });
});
