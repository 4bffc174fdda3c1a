/** @file Central differences through whole transformers: one layer, every kind of parameter. */
import { Tensor, sizeOf } from '../graph';
import type { Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import { buildTransformer, transformerConfig } from '../models';
import type { Head } from '../models';
import { parameterNames, specialise } from '../passes';
import { ortRuntime } from '../runtime';
import type { HostTensor } from '../runtime';
import { tfjsRuntime } from '../runtime/tfjs';
import { relativeError } from './gradient-check';
import { crossEntropy } from './losses';
import { buildTrainingGraph } from './training-graph';

const SIZES = { batch: 2, sequence: 4 };
const STEP = 1e-2;

/** Weights far from any symmetry, the same in every run. */
function jitter(dims: readonly number[], seed: number, centre: number): Tensor {
  const values = Array.from(
    { length: sizeOf(dims) },
    (_, i) => centre + 0.5 * Math.sin(1 + seed + i * 12.9898 * (1 + i)),
  );
  return Tensor.float32(dims, values);
}

const tokens = (values: readonly number[]): HostTensor => ({
  dtype: 'int64',
  dims: [2, 4],
  data: BigInt64Array.from(values, BigInt),
});
const FEEDS: Readonly<Record<string, HostTensor>> = {
  input_ids: tokens([3, 1, 4, 1, 5, 2, 0, 0]),
  attention_mask: tokens([1, 1, 1, 1, 1, 1, 0, 0]),
  token_type_ids: tokens([0, 0, 1, 1, 0, 0, 0, 0]),
};

/** Cross-entropy over classes, or over the next token at every position. */
function loss(build: GraphBuilder, logits: Value): Value {
  if (logits.shape?.length === 2) return crossEntropy(build, logits, build.int64s([2, 0]), { labelSmoothing: 0.1 });
  const rows = build.op('Reshape', [logits, build.int64s([8, -1])]);
  return crossEntropy(build, rows, build.int64s([1, 4, 1, -100, 2, -100, -100, -100]));
}

const classifier: Head = { task: 'classification', labels: 3 };
const languageModel: Head = { task: 'causal-lm' };

describe.each([
  ['BERT', 'bert', classifier],
  ['GPT-2 with a tied head', 'gpt2', languageModel],
] as const)('gradients of a tiny %s', (_, architecture, head) => {
  it.each([
    { name: 'ort', runtime: ortRuntime, samples: 4 },
    { name: 'tfjs', runtime: tfjsRuntime, samples: 1 },
  ])('equal central differences on $name, $samples elements of every parameter', async ({ runtime, samples }) => {
    const config = transformerConfig(architecture, {
      layers: 1,
      hidden: 8,
      heads: 2,
      ffn: 16,
      vocabulary: 7,
      maxLength: 6,
    });
    let seed = 0;
    const source = buildTransformer(config, head, (_name, dims, role) =>
      jitter(dims, seed++, role === 'scale' ? 1 : 0),
    );
    const model = specialise(source.model, SIZES);
    const training = buildTrainingGraph(model, {
      parameters: parameterNames(model),
      outputs: [],
      loss: (build, outputs) => loss(build, outputs.get('logits')!),
    });
    expect([...training.gradients.keys()].sort()).toEqual(parameterNames(model).sort());

    const executable = await runtime.compile(training.model, { threads: 1 });
    const inputs = training.model.graph.inputs.map(({ name }): [string, HostTensor] => {
      const constant = model.graph.values.get(name)?.constant;
      return [
        name,
        constant
          ? { dtype: 'float32', dims: constant.dims, data: Float32Array.from(constant.toNumbers()) }
          : FEEDS[name],
      ];
    });
    const feeds = Object.fromEntries(inputs);
    const lossNow = async (): Promise<number> => Number((await executable.run(feeds))[training.loss].data[0]);
    const results = await executable.run(feeds);
    const [analytic, numeric]: [number[], number[]] = [[], []];
    for (const [name, gradient] of training.gradients) {
      const data = feeds[name].data as Float32Array;
      const output = gradient.kind === 'dense' ? gradient.output : gradient.rows;
      for (let sample = 0; sample < samples; sample++) {
        const at = Math.floor(((sample + 0.5) * data.length) / samples);
        const original = data[at];
        const lossAt = async (offset: number): Promise<number> => {
          data[at] = original + offset;
          const value = await lossNow();
          data[at] = original;
          return value;
        };
        const near = (await lossAt(STEP)) - (await lossAt(-STEP));
        const far = (await lossAt(2 * STEP)) - (await lossAt(-2 * STEP));
        numeric.push((8 * near - far) / (12 * STEP));
        analytic.push(Number(results[output].data[at]));
      }
    }
    await executable.release();
    expect(relativeError(analytic, numeric)).toBeLessThan(1e-3);
  });
});
