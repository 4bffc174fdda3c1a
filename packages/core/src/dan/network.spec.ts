import { buildPerfectHash, knownSlots, referenceLogits, TokenHasher } from '@modelpress/dan';
import type { DanModel, Pooling } from '@modelpress/dan';
import { ortRuntime } from '../runtime';
import { Random } from '../train/random';
import { NgramCounter } from './count';
import { buildDanNetwork } from './network';

const TEXTS = ['green apple', 'green tree green apple tree', 'nothing known', 'tree'];

function model(pooling: Pooling): DanModel {
  const counter = new NgramCounter(1, 2);
  counter.add(new TokenHasher().hashes('green apple tree green tree'));
  const { a, b } = counter.top(100);
  const { hash } = buildPerfectHash(a, b);
  const random = new Random(3);
  const normal = (length: number): Float32Array => Float32Array.from({ length }, () => random.normal());
  const sizes = { minOrder: 1, maxOrder: 2, dimension: 10, hidden: 7 };
  return {
    ...sizes,
    labels: ['a', 'b', 'c'],
    pooling,
    ...(pooling === 'attentive' ? { attention: normal(10) } : {}),
    hash,
    table: { type: 'float32', rows: normal(hash.fingerprints.length * 10) },
    w1: normal(70),
    b1: normal(7),
    w2: normal(21),
    b2: normal(3),
  };
}

describe('the graph of a DAN', () => {
  it.each(['mean', 'sum', 'max', 'attentive'] as const)(
    'computes what the runtime does, %s pooling',
    async (pooling) => {
      const dan = model(pooling);
      const slots = TEXTS.map((text) => knownSlots(dan, text));
      const longest = Math.max(...slots.map(({ length }) => length));
      const dims = [TEXTS.length, longest];
      const padded = (pad: (row: readonly number[]) => number[]): BigInt64Array =>
        BigInt64Array.from(
          slots.flatMap((row) => [...pad(row), ...Array<number>(longest - row.length).fill(0)]),
          BigInt,
        );
      const executable = await ortRuntime.compile(buildDanNetwork(dan).model, { threads: 1 });
      const { logits } = await executable.run({
        input_ids: { dtype: 'int64', dims, data: padded((row) => [...row]) },
        attention_mask: { dtype: 'int64', dims, data: padded((row) => row.map(() => 1)) },
      });
      await executable.release();
      const expected = TEXTS.flatMap((text) => [...referenceLogits(dan, text)]);
      expected.forEach((logit, i) => expect(logits.data[i]).toBeCloseTo(logit, 4));
    },
  );
});
