import { Tensor } from '../graph';
import type { Model } from '../graph';
import type { HostTensor } from '../runtime';
import { compensateModel } from './compensate-model';
import type { WeightOnlyMethod } from './method';
import type { CalibrationRows } from './observe';
import { observeProducts } from './observe';
import { quantizeModel } from './quantize';
import { noise, run, SiteBuilder } from './testing';

/** Rows of few directions, as activations have. */
function texts(count: number): CalibrationRows {
  const basis = noise([4, 32], 7).data;
  const inputs = (row: number): Record<string, HostTensor> => {
    const weights = noise([5, 4], row).data;
    const x = Float32Array.from({ length: 160 }, (_, at) => {
      const [token, column] = [Math.floor(at / 32), at % 32];
      return [0, 1, 2, 3].reduce((sum, k) => sum + weights[token * 4 + k] * basis[k * 32 + column], 0);
    });
    return { x: Tensor.float32([5, 32], x) };
  };
  return { count, digest: String(count), inputs };
}

function make(): Model {
  const b = new SiteBuilder();
  const first = b.node('MatMul', [b.x, b.weight('a', [32, 32], 1)], 'first');
  const again = b.node('Gemm', [b.x, b.weight('b', [32, 32], 2)], 'again');
  const both = b.node('Relu', [b.node('Add', [first, again], 'both')], 'relu');
  return b.finish(b.node('MatMul', [both, b.weight('c', [32, 16], 3)], 'last'));
}

describe('a model compensated with calibration rows', () => {
  const format = { bits: 4, block: 32, symmetric: true } as const;
  const method: WeightOnlyMethod = { kind: 'weight-only', compute: 'float32', ...format };

  it('sees X^T X summed over rows', async () => {
    const rows = texts(3);
    const products = await observeProducts(make(), new Map([['x', 32]]), rows, {});
    const expected = new Float64Array(32 * 32);
    for (let row = 0; row < 3; row++) {
      const x = rows.inputs(row).x.data as Float32Array;
      for (let at = 0; at < 160; at++) {
        const token = at - (at % 32);
        for (let j = 0; j < 32; j++) expected[(at % 32) * 32 + j] += x[at] * x[token + j];
      }
    }
    products.get('x')!.forEach((value, i) => expect(value).toBeCloseTo(expected[i], 3));
  });

  it('keeps outputs nearer to float than rounding does, on texts that it did not see', async () => {
    const progress: number[] = [];
    const codes = await compensateModel(make(), texts(40), {
      format,
      damping: 0.01,
      onProgress: (fraction) => void progress.push(fraction),
    });
    expect([...codes.keys()]).toEqual(['a', 'b', 'c']);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    expect(progress.at(-1)).toBe(1);
    const unseen = texts(100).inputs(99);
    const error = async (given: WeightOnlyMethod): Promise<number> => {
      const model = make();
      quantizeModel(model, given, { minElements: 0 });
      const [actual, expected] = [await run(model, 'all', unseen), await run(make(), 'all', unseen)];
      return actual.reduce((sum, y, i) => sum + (y - expected[i]) ** 2, 0);
    };
    expect(await error({ ...method, codes })).toBeLessThan(0.5 * (await error(method)));
  });

  it('stops when told', async () => {
    const options = { format, damping: 0.01, signal: AbortSignal.abort() };
    await expect(compensateModel(make(), texts(2), options)).rejects.toMatchObject({ kind: 'cancelled' });
  });
});
