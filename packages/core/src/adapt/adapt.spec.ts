import type { Model } from '../graph';
import { Tensor } from '../graph';
import { buildTransformer, freshWeights, headFor, transformerConfig } from '../models';
import type { BuiltModel } from '../models';
import { ortRuntime } from '../runtime';
import { Random } from '../train/random';
import { addAdapters } from './adapters';
import { addLora, mergeLora } from './lora';
import { addPrefix } from './prefix';

const config = transformerConfig('bert', { layers: 2, hidden: 16, heads: 2, vocabulary: 20, maxLength: 12 });
const build = (): BuiltModel => buildTransformer(config, headFor('classification', 3), freshWeights(7, 0.3));

const BATCH = [
  { ids: [2, 5, 9, 11, 3], length: 5 },
  { ids: [2, 7, 3, 0, 0], length: 3 },
];

/** Logits of the two rows. */
async function logits(model: Model, rows = BATCH): Promise<number[]> {
  const int64 = (values: number[]): { dtype: 'int64'; dims: number[]; data: BigInt64Array } => ({
    dtype: 'int64',
    dims: [rows.length, 5],
    data: BigInt64Array.from(values, BigInt),
  });
  const executable = await ortRuntime.compile(model, { threads: 1 });
  const { logits: result } = await executable.run({
    input_ids: int64(rows.flatMap((row) => row.ids)),
    attention_mask: int64(rows.flatMap((row) => row.ids.map((_, i) => Number(i < row.length)))),
    token_type_ids: int64(rows.flatMap((row) => row.ids.map(() => 0))),
  });
  await executable.release();
  return [...(result.data as Float32Array)];
}

const expectClose = (actual: number[], expected: number[]): void => {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((value, i) => expect(value).toBeCloseTo(expected[i], 4));
};

/** Replaces a parameter by random numbers. */
function randomise(model: Model, name: string, random: Random): Float32Array {
  const value = model.graph.value(name);
  const numbers = Float32Array.from({ length: value.constant!.size }, () => 0.3 * random.normal());
  value.constant = Tensor.float32(value.constant!.dims, numbers);
  return numbers;
}

const initializer = (model: Model, name: string): Float32Array =>
  model.graph.value(name).constant!.data as Float32Array;

describe('LoRA', () => {
  const options = { rank: 2, alpha: 6, targets: ['W_Q', 'W_V', 'W_O'], seed: 1 } as const;

  it('starts at the original model', async () => {
    const { model, components } = build();
    const pairs = addLora(model, components, options);
    expect(pairs).toHaveLength(6);
    expectClose(await logits(model), await logits(build().model));
  });

  it('merges into a model without branches that gives the same logits', async () => {
    const { model, components } = build();
    const pairs = addLora(model, components, options);
    const random = new Random(3);
    for (const { a, b } of pairs) for (const name of [a, b]) randomise(model, name, random);
    const merged = build().model;
    mergeLora(merged.graph, pairs, options, (name) => initializer(model, name));
    const [adapted, plain, before] = await Promise.all([logits(model), logits(merged), logits(build().model)]);
    expectClose(plain, adapted);
    expect(Math.abs(plain[0] - before[0])).toBeGreaterThan(1e-3);
  });

  it('refuses a rank that saves nothing and components the model lacks', () => {
    const { model, components } = build();
    expect(() => addLora(model, components, { ...options, rank: 16 })).toThrow('Rank 16 is no saving');
    expect(() => addLora(model, [], options)).toThrow('The model has no W_Q or W_V or W_O matrix.');
  });
});

describe('adapters', () => {
  it('start at the original model, two a layer, and change it when trained', async () => {
    const { model, components } = build();
    const names = addAdapters(model, components, { size: 4, seed: 1 });
    expect(names).toHaveLength(2 * 2 * 4);
    const before = await logits(build().model);
    expectClose(await logits(model), before);
    for (const name of names) randomise(model, name, new Random(5));
    expect(Math.abs((await logits(model))[0] - before[0])).toBeGreaterThan(1e-3);
  });
});

describe('prefix', () => {
  /** A one-layer model whose attention is uniform, because its queries are zero. */
  function uniformAttention(): BuiltModel {
    const layers = config.layers.slice(0, 1);
    const built = buildTransformer({ ...config, layers }, headFor('classification', 3), freshWeights(7, 0.3));
    const query = built.components.find((entry) => entry.component === 'W_Q')!;
    built.model.graph.value(query.weight).constant = Tensor.float32([16, 16], new Float32Array(256));
    return built;
  }

  it('is attended to like text: under uniform attention, p zero values scale the context by n / (n + p)', async () => {
    const { model } = uniformAttention();
    const names = addPrefix(model, { length: 3, seed: 1 });
    expect(names).toEqual(['prefix.0.keys', 'prefix.0.values']);
    model.graph.value('prefix.0.values').constant = Tensor.float32([1, 2, 3, 8], new Float32Array(48));

    for (const [index, row] of BATCH.entries()) {
      const scaled = uniformAttention();
      const value = scaled.components.find((entry) => entry.component === 'W_V')!;
      const factor = row.length / (row.length + 3);
      for (const name of [value.weight, value.bias!]) {
        const initial = scaled.model.graph.value(name);
        initial.constant = Tensor.float32(
          initial.constant!.dims,
          initializer(scaled.model, name).map((x) => x * factor),
        );
      }
      const all = await logits(model);
      expectClose(all.slice(index * 3, index * 3 + 3), await logits(scaled.model, [row]));
    }
  });

  it('adds keys and values to every layer of a deeper model', async () => {
    const { model } = build();
    expect(addPrefix(model, { length: 2, seed: 1 })).toHaveLength(4);
    expect((await logits(model)).every(Number.isFinite)).toBe(true);
  });
});
