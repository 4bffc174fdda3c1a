import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import type { Manifest } from '../bundle/manifest';
import { int8Warning, readEnvironment } from './environment';
import { syntheticInputs } from './inputs';
import { measureMemory } from './memory';
import { median, noise, percentile, speedup } from './statistics';
import { takeTurns, turnOrder } from './take-turns';

describe('statistics', () => {
  it('takes nearest-rank percentiles', () => {
    const samples = [15, 20, 35, 40, 50];
    expect([5, 30, 40, 50, 100].map((p) => percentile(samples, p))).toEqual([15, 20, 20, 35, 50]);
    expect(percentile([], 50)).toBeNaN();
    expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5]);
  });

  it('bounds the speed-up by the pairs that it resamples', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 99 }), fc.integer({ min: 1, max: 99 })), {
          minLength: 1,
          maxLength: 30,
        }),
        (pairs) => {
          const baseline = pairs.map(([a]) => a);
          const candidate = pairs.map(([, b]) => b);
          const { value, interval } = speedup(baseline, candidate);
          expect(value).toBe(median(baseline) / median(candidate));
          expect(interval[0]).toBeGreaterThanOrEqual(Math.min(...baseline) / Math.max(...candidate));
          expect(interval[1]).toBeLessThanOrEqual(Math.max(...baseline) / Math.min(...candidate));
          expect(interval[0]).toBeLessThanOrEqual(interval[1]);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('knows a ratio exactly when every pair has it, however the machine drifts', () => {
    const baseline = Array.from({ length: 40 }, () => 6);
    expect(
      speedup(
        baseline,
        baseline.map((x) => x / 3),
      ),
    ).toEqual({ value: 3, interval: [3, 3] });
  });

  it('calls spread and drift noise', () => {
    expect(noise(Array.from({ length: 40 }, (_, i) => 10 + (i % 3) * 0.1))).toBeUndefined();
    expect(noise([10, 20, 10, 20, 30, 10])).toMatch(/spreads over \d+ % of their median/);
    expect(noise(Array.from({ length: 40 }, (_, i) => (i < 20 ? 10 : 12)))).toBe(
      'the median moved by 20 % during the run',
    );
  });
});

describe('takeTurns', () => {
  it.each([1, 2, 3, 4, 5, 6, 20])('lets each of %d works follow every other equally often', (count) => {
    const followed = new Map<string, number>();
    for (let round = 0; round < 2 * count; round++) {
      const order = turnOrder(round, count);
      expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
      for (const [i, which] of order.slice(1).entries()) {
        const pair = `${order[i]} before ${which}`;
        followed.set(pair, (followed.get(pair) ?? 0) + 1);
      }
    }
    expect(followed.size).toBe(count * (count - 1));
    expect(new Set(followed.values())).toEqual(new Set(count === 1 ? [] : [2]));
  });

  it('runs every work once a round and rotates who begins', async () => {
    const calls: string[] = [];
    const work = (name: string) => async () => void calls.push(name);
    const samples = await takeTurns([work('a'), work('b')], { warmup: 1, minRounds: 3, maxRounds: 3, seconds: 0 });
    expect(calls.join('')).toBe('ababbaab');
    expect(samples.map((list) => list.length)).toEqual([3, 3]);
  });

  it('stops between rounds', async () => {
    const controller = new AbortController();
    let rounds = 0;
    const work = async (): Promise<void> => {
      if (++rounds === 4) controller.abort();
    };
    const options = { warmup: 0, minRounds: 1000, maxRounds: 1000, seconds: 60, signal: controller.signal };
    await expect(takeTurns([work], options)).rejects.toMatchObject({ kind: 'cancelled' });
    expect(rounds).toBe(4);
  });
});

describe('inputs', () => {
  const manifest = { inputs: ['input_ids', 'attention_mask'], maxLength: 16 } as unknown as Manifest;

  it('makes ids within the vocabulary, the same for a seed', () => {
    const shape = { batch: 3, sequence: 16 };
    const { input_ids: ids, attention_mask: mask } = syntheticInputs(manifest, 7, shape, 1);
    expect(ids.dims).toEqual([3, 16]);
    const values = Array.from(ids.data as BigInt64Array, Number);
    expect(Math.min(...values)).toBe(0);
    expect(Math.max(...values)).toBe(6);
    expect(new Set(mask.data as BigInt64Array)).toEqual(new Set([1n]));
    expect(syntheticInputs(manifest, 7, shape, 1).input_ids).toEqual(ids);
    expect(syntheticInputs(manifest, 7, shape, 2).input_ids).not.toEqual(ids);
  });

  it('refuses what it cannot feed', () => {
    expect(() => syntheticInputs(manifest, 7, { batch: 1, sequence: 17 }, 1)).toThrow('at most 16');
    const pixels = { ...manifest, inputs: ['pixel_values'] };
    expect(() => syntheticInputs(pixels, 7, { batch: 1, sequence: 4 }, 1)).toThrow('pixel_values');
  });
});

it('hands on what went wrong in the process that measures memory', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  const manifest = { inputs: [], maxLength: 8 } as unknown as Manifest;
  const shape = { batch: 1, sequence: 4 };
  const request = {
    folder,
    serving: { runtime: 'ort', precision: 'fp32' },
    manifest,
    vocabulary: 5,
    shape,
    threads: 1,
    runs: 1,
  } as const;
  await expect(measureMemory(request)).rejects.toMatchObject({ code: 'runtime.compile' });
  await expect(measureMemory(request, AbortSignal.abort())).rejects.toMatchObject({ kind: 'cancelled' });
});

it('describes this machine, and what a CPU without int8 instructions means', () => {
  const environment = readEnvironment(3);
  expect(environment).toMatchObject({ threads: 3, device: 'cpu', node: process.version });
  expect(environment.runtime).toMatch(/^onnxruntime-node \d+\.\d+/);
  expect(int8Warning(['avx2', 'avx512_vnni'])).toBeUndefined();
  expect(int8Warning(['avx2'])).toContain('no int8 dot-product instructions');
  expect(int8Warning([])).toContain('unknown');
});
