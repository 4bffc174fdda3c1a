import fc from 'fast-check';
import type { Structure } from '../bundle/manifest';
import { equalHeads } from './equal-heads';
import { keepEverything, keepPlan, removedShare, selectNeurons } from './neurons';
import type { NeuronGroup } from './neurons';

const structure: Structure = {
  hidden: 8,
  vocabulary: 10,
  positions: 16,
  layers: [
    { heads: 2, queryDims: [4, 4], valueDims: [4, 4], ffn: 6 },
    { heads: 2, queryDims: [4, 4], valueDims: [4, 4], ffn: 6 },
  ],
};
const group = (kind: NeuronGroup['kind'], layer: number, importance: number[]): NeuronGroup => ({
  kind,
  layer,
  importance: Float32Array.from(importance),
});

describe('selectNeurons', () => {
  const ffn = [group('ffn', 0, [5, 1, 2, 9, 9, 9]), group('ffn', 1, [3, 4, 6, 7, 8, 9])];

  it('removes the globally least important neurons, whatever their layer', () => {
    const plan = keepPlan(structure, selectNeurons(ffn, { ffn: 0.25 }, { scope: 'global', floor: 0 }));
    expect(plan.layers.map((layer) => layer?.ffn)).toEqual([
      [0, 3, 4, 5],
      [1, 2, 3, 4, 5],
    ]);
  });

  it('removes the same share of every layer under scope layer', () => {
    const plan = keepPlan(structure, selectNeurons(ffn, { ffn: 0.5 }, { scope: 'layer', floor: 0 }));
    expect(plan.layers.map((layer) => layer?.ffn)).toEqual([
      [3, 4, 5],
      [3, 4, 5],
    ]);
  });

  it('never takes more than the floor allows from one group', () => {
    const plan = keepPlan(structure, selectNeurons(ffn, { ffn: 0.5 }, { scope: 'global', floor: 0.5 }));
    for (const layer of plan.layers) expect(layer?.ffn.length).toBeGreaterThanOrEqual(3);
  });

  it('refuses a target that the floor makes unreachable', () => {
    const run = (): unknown => selectNeurons(ffn, { ffn: 0.9 }, { scope: 'global', floor: 0.5 });
    expect(run).toThrow('would remove 10 of 12 neurons, but the floor of 0.5 leaves only 6 removable');
  });

  it('removes exactly floor(n * target) neurons for any importance', () => {
    const importances = fc.array(fc.float({ min: 0, max: 1, noNaN: true }), { minLength: 6, maxLength: 6 });
    fc.assert(
      fc.property(importances, importances, fc.double({ min: 0, max: 1, noNaN: true }), (a, b, target) => {
        const groups = [group('ffn', 0, a), group('ffn', 1, b)];
        const removed = selectNeurons(groups, { ffn: target }, { scope: 'global', floor: 0 });
        const count = [...removed.values()].flatMap((mask) => [...mask]).filter(Boolean).length;
        expect(count).toBe(Math.floor(12 * target));
      }),
    );
  });
});

describe('keepPlan', () => {
  it('splits query dimensions by head and empties removed heads', () => {
    const query = group('query', 0, [0, 9, 9, 9, 9, 9, 9, 1]);
    const heads = group('head', 1, [1, 0]);
    const removed = selectNeurons([query, heads], { query: 0.25, head: 0.5 }, { scope: 'global', floor: 0 });
    const [first, second] = keepPlan(structure, removed).layers;
    expect(first?.queryDims).toEqual([
      [1, 2, 3],
      [0, 1, 2],
    ]);
    expect(second?.valueDims).toEqual([[0, 1, 2, 3], []]);
    expect(removedShare(structure, keepPlan(structure, removed))[1]).toMatchObject({ query: 0.5, value: 0.5, ffn: 0 });
  });

  it('keeps everything when nothing is selected', () => {
    expect(keepPlan(structure, new Map())).toEqual(keepEverything(structure));
  });
});

describe('equal heads', () => {
  it('keep the most important dimensions of each head, as many as the threshold left on average', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: 0, max: 1, noNaN: true }), { minLength: 12, maxLength: 12 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (scores, target) => {
          const heads = { heads: 3, queryDims: [4, 4, 4], valueDims: [4, 4, 4], ffn: 2 };
          const one = { hidden: 12, layers: [heads], vocabulary: 10, positions: 8 };
          const groups: NeuronGroup[] = [{ kind: 'query', layer: 0, importance: Float32Array.from(scores) }];
          const removed = selectNeurons(groups, { query: target }, { scope: 'global', floor: 0 });
          const plan = keepPlan(one, removed);
          const [before, after] = [plan.layers[0]!, equalHeads(one, plan, groups).layers[0]!];
          const count = before.queryDims.flat().length;
          const sizes = after.queryDims.map((dims) => dims.length);
          expect(new Set(sizes).size).toBe(1);
          expect(sizes[0]).toBe(count === 0 ? 0 : Math.max(1, Math.round(count / 3)));
          expect(after.valueDims).toEqual(before.valueDims);
          after.queryDims.forEach((dims, head) => {
            const of = (i: number): number => scores[4 * head + i];
            const left = [0, 1, 2, 3].filter((i) => !dims.includes(i));
            for (const kept of dims) for (const gone of left) expect(of(kept)).toBeGreaterThanOrEqual(of(gone));
          });
        },
      ),
    );
  });
});
