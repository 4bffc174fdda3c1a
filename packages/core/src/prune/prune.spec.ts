import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { describeWithShared, sharedPath } from '../../../../tools/shared-fixtures';
import { masksFromScores, maskSparsity } from './masks';
import type { MaskScope, ScoredMatrix } from './masks';
import { pruneSchema } from './config';
import { pruningPhases } from './phases';
import { pruningSteps, sparsityAt } from './schedule';
import { inputProducts, NeuronImportance, outputProducts } from './importance';
import { magnitudeScores, pstScores } from './scores';
import { selectSmallest } from './select';

/** Enough of the safetensors format to read fixtures without depending on the code under test elsewhere. */
function tensors(...path: string[]): Map<string, { shape: number[]; data: Float32Array | Uint8Array }> {
  const file = readFileSync(sharedPath('fixtures', ...path));
  const headerBytes = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + headerBytes).toString()) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const found = new Map<string, { shape: number[]; data: Float32Array | Uint8Array }>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const bytes = new Uint8Array(file.subarray(...entry.data_offsets.map((o) => 8 + headerBytes + o)));
    found.set(name, { shape: entry.shape, data: entry.dtype === 'F32' ? new Float32Array(bytes.buffer) : bytes });
  }
  return found;
}

describe('selectSmallest', () => {
  it('agrees with a stable sort on any scores, ties included', () => {
    const value = fc.oneof(fc.float({ noNaN: true }), fc.constantFrom(0, 1, -1));
    fc.assert(
      fc.property(
        fc.array(fc.array(value, { maxLength: 30 }), { minLength: 1, maxLength: 4 }),
        fc.nat(),
        (lists, n) => {
          const arrays = lists.map((list) => Float32Array.from(list, (x) => x + 0)); // -0 + 0 = 0
          const flat = arrays.flatMap((array, a) => [...array].map((score, i) => ({ score, a, i })));
          const count = flat.length === 0 ? 0 : n % (flat.length + 1);
          const expected = arrays.map((array) => new Uint8Array(array.length));
          for (const { a, i } of flat.toSorted((x, y) => x.score - y.score).slice(0, count)) expected[a][i] = 1;
          expect(selectSmallest(arrays, count).selected).toEqual(expected);
        },
      ),
    );
  });
});

describe('masksFromScores', () => {
  const matrix = (rows: number, columns: number, scores: number[]): ScoredMatrix => ({
    name: 'w',
    layer: 0,
    rows,
    columns,
    scores: Float32Array.from(scores),
  });

  it('keeps the best n of every m inputs of an output', () => {
    const mask = masksFromScores(
      [matrix(4, 2, [1, 8, 2, 7, 3, 6, 4, 5])],
      0,
      { kind: 'n-of-m', keep: 2, of: 4 },
      'matrix',
    );
    expect([...mask.get('w')!]).toEqual([0, 1, 0, 1, 1, 0, 1, 0]);
  });

  it('removes whole blocks by their mean', () => {
    const scores = [9, 9, 0, 1, 1, 1, 5, 5];
    const mask = masksFromScores([matrix(2, 4, scores)], 0.5, { kind: 'block', rows: 1, columns: 2 }, 'global');
    expect([...mask.get('w')!]).toEqual([1, 1, 0, 0, 0, 0, 1, 1]);
  });

  it('names the matrix that a pattern does not divide', () => {
    const run = (): unknown =>
      masksFromScores([matrix(3, 2, [0, 0, 0, 0, 0, 0])], 0, { kind: 'n-of-m', keep: 2, of: 4 }, 'matrix');
    expect(run).toThrow('w is [3, 2]: its 3 inputs do not divide into runs of 4.');
  });
});

describe('sparsity schedule', () => {
  const cubic = { shape: 'cubic', initial: 0, target: 0.9, firstStep: 10, lastStep: 110 } as const;

  it('starts at the initial and ends at the target', () => {
    expect([0, 10, 60, 110, 500].map((step) => sparsityAt(cubic, step))).toEqual([0, 0, 0.9 - 0.9 / 8, 0.9, 0.9]);
  });

  it('never falls', () => {
    fc.assert(
      fc.property(fc.constantFrom('one-shot', 'linear', 'cubic'), fc.nat(200), fc.nat(200), (shape, a, b) => {
        const at = (step: number): number => sparsityAt({ ...cubic, shape }, step);
        expect(at(Math.max(a, b))).toBeGreaterThanOrEqual(at(Math.min(a, b)));
      }),
    );
  });

  it('prunes k times an epoch and ends at the last step', () => {
    expect(pruningSteps({ ...cubic, firstStep: 0, lastStep: 100 }, 50, 2)).toEqual([25, 50, 75, 100]);
  });

  it('takes nothing in the warm-up, and everything in the pruning phase after it', () => {
    const config = pruneSchema.parse({ epochs: 8, warmupEpochs: 2, pruningEpochs: 4, stepsPerEpoch: 1 });
    const phases = pruningPhases(config, 100);
    const due = Array.from({ length: 800 }, (_, step) => [step, phases.dueAfter(step)]).filter(([, share]) => share);
    expect(due).toEqual([
      [300, 0.25],
      [400, 0.5],
      [500, 0.75],
      [600, 1],
    ]);
    expect(phases.recoveryFrom).toBe(6);
  });

  it('renews the masks of trained scores after every step of the pruning phase', () => {
    const granularity = { type: 'weight' };
    const settings = { granularity, epochs: 8, warmupEpochs: 2, pruningEpochs: 4, stepsPerEpoch: 1, shape: 'cubic' };
    for (const importance of ['movement', 'pst', 'l0']) {
      const phases = pruningPhases(pruneSchema.parse({ ...settings, importance }), 100);
      const due = Array.from({ length: 800 }, (_, step) => phases.dueAfter(step));
      expect(due.flatMap((share, step) => (share === undefined ? [] : [step]))).toEqual(
        Array.from({ length: 400 }, (_, i) => 201 + i),
      );
      expect([due[400], due[600]]).toEqual([1 - 0.5 ** 3, 1]);
      expect([300, 301, 600].map((step) => phases.prunesAfter(step))).toEqual([true, false, true]);
    }
    const once = pruningPhases(pruneSchema.parse({ ...settings, importance: 'movement', shape: 'one-shot' }), 100);
    expect(Array.from({ length: 800 }, (_, step) => step).filter((step) => once.dueAfter(step))).toEqual([600]);
  });

  it('measures importance in the pruning phase, and over some steps of the warm-up where that is too short', () => {
    const measured = (settings: object): number[] => {
      const phases = pruningPhases(pruneSchema.parse({ epochs: 8, warmupEpochs: 2, ...settings }), 100);
      const steps = Array.from({ length: 800 }, (_, step) => step).filter((step) => phases.measures(step));
      return [steps[0], steps.at(-1)!];
    };
    expect(measured({ pruningEpochs: 4 })).toEqual([201, 600]);
    expect(measured({ shape: 'one-shot', pruningEpochs: 0 })).toEqual([182, 201]);
  });
});

describeWithShared('against the reference masks', () => {
  const weights = tensors('hf', 'bert', 'model.safetensors');
  const names = Object.keys(
    (JSON.parse(readFileSync(sharedPath('fixtures', 'prune', 'prune.json'), 'utf8')) as { matrices: object }).matrices,
  );
  const scored = (name: string, scores: Float32Array): ScoredMatrix => {
    const [rows, columns] = weights.get(name)!.shape as [number, number];
    return { name, layer: Number(/layer\.(\d+)/.exec(name)![1]), rows, columns, scores };
  };
  const scopes: Record<string, MaskScope> = { global: 'global', per_block: 'layer', per_matrix: 'matrix' };

  it.each(Object.keys(scopes).flatMap((scope) => [50, 90].map((percent) => [scope, percent] as const)))(
    'magnitude, %s, %i %%',
    (scope, percent) => {
      const expected = tensors('prune', 'magnitude_masks.safetensors');
      const matrices = names.map((name) => scored(name, magnitudeScores(weights.get(name)!.data as Float32Array)));
      const masks = masksFromScores(matrices, percent / 100, { kind: 'weight' }, scopes[scope]);
      for (const name of names) expect(masks.get(name)).toEqual(expected.get(`${scope}.${percent}.${name}`)!.data);
    },
  );

  const factors = tensors('prune', 'pst_inputs.safetensors');
  const pst = (name: string, a1: number, a2: number): Float32Array => {
    const part = (key: string): Float32Array => factors.get(`${key}.${name}`)!.data as Float32Array;
    const parts = { a: part('A'), b: part('B'), rank: 8, rows: part('R'), columns: part('C') };
    return pstScores(weights.get(name)!.data as Float32Array, parts, a1, a2);
  };

  it.each(
    [...tensors('prune', 'pst_masks.safetensors').keys()].map((key) =>
      /^a1_([\d.]+)\.a2_([\d.]+)\.(50|90)\.(.*)$/.exec(key)!.slice(1),
    ),
  )('PST, a1 %s, a2 %s, %s %%, %s', (a1, a2, percent, name) => {
    const matrices = [scored(name, pst(name, Number(a1), Number(a2)))];
    const mask = masksFromScores(matrices, Number(percent) / 100, { kind: 'weight' }, 'matrix').get(name)!;
    const expected = tensors('prune', 'pst_masks.safetensors').get(`a1_${a1}.a2_${a2}.${percent}.${name}`)!;
    expect(mask).toEqual(expected.data);
    expect(maskSparsity(mask)).toBeCloseTo(Number(percent) / 100, 3);
  });

  it('PST scores of four matrices', () => {
    for (const [key, expected] of tensors('prune', 'pst_scores_4_matrices.safetensors')) {
      const scores = pst(key.replace('a1_1.a2_1.', ''), 1, 1);
      scores.forEach((score, i) => expect(Math.abs(score - expected.data[i])).toBeLessThan(1e-5));
    }
  });
});

describe('neuron importance', () => {
  it('sums absolute products over batches and normalises', () => {
    const importance = new NeuronImportance(2);
    importance.add([-2, 6]);
    importance.add([1, 2]);
    expect([...importance.normalized()]).toEqual([3, 8].map((value) => Math.fround(value / Math.hypot(3, 8))));
  });

  it('equals activation x gradient, from weights and weight gradients', () => {
    const numbers = (length: number): fc.Arbitrary<number[]> =>
      fc.array(fc.integer({ min: -8, max: 8 }), { minLength: length, maxLength: length });
    const [positions, inputs, outputs] = [3, 2, 4];
    fc.assert(
      fc.property(numbers(6), numbers(8), numbers(4), numbers(12), (x, w, b, g) => {
        const at = (p: number, n: number): number => x[p * inputs] * w[n] + x[p * inputs + 1] * w[outputs + n] + b[n];
        const sum = (n: number, f: (i: number) => number): number =>
          Array.from({ length: n }, (_, i) => f(i)).reduce((s, v) => s + v, 0);
        const dw = w.map((_, k) =>
          sum(positions, (p) => x[p * inputs + Math.floor(k / outputs)] * g[p * outputs + (k % outputs)]),
        );
        const db = b.map((_, n) => sum(positions, (p) => g[p * outputs + n]));
        const [weight, gradient, bias, biasGradient] = [w, dw, b, db].map((v) => Float32Array.from(v)) as [
          Float32Array,
          Float32Array,
          Float32Array,
          Float32Array,
        ];

        const direct = b.map((_, n) => sum(positions, (p) => at(p, n) * g[p * outputs + n]));
        outputProducts(weight, gradient, bias, biasGradient).forEach((product, n) =>
          expect(product).toBeCloseTo(direct[n], 6),
        );

        const dx = (p: number, i: number): number => sum(outputs, (n) => g[p * outputs + n] * w[i * outputs + n]);
        const directIn = [0, 1].map((i) => sum(positions, (p) => x[p * inputs + i] * dx(p, i)));
        inputProducts(weight, gradient, inputs).forEach((product, i) => expect(product).toBeCloseTo(directIn[i], 6));
      }),
    );
  });
});
