/** @file Three AdamW steps on a BERT classifier, compared with PyTorch's (see fixtures/README.md, grads). */
import { readFileSync } from 'node:fs';
import { describeWithShared, sharedPath } from '../../../../tools/shared-fixtures';
import { crossEntropy } from '../autodiff';
import type { Model } from '../graph';
import { SafetensorsFile, importHuggingFace } from '../models';
import { readModelFile } from '../onnx';
import { parameterNames } from '../passes';
import type { HostTensor } from '../runtime';
import { decayMatrices, optimizerSchema } from './optimizer';
import type { DecayRule } from './optimizer';
import { Trainer } from './trainer';
import type { TrainerOptions, TrainingBatch } from './trainer';

interface Fixture {
  readonly batches: readonly (Record<'input_ids' | 'attention_mask' | 'token_type_ids', number[][]> & {
    labels: number[];
  })[];
  readonly variants: Readonly<
    Record<string, { fp32: { losses: number[]; grad_norms: number[]; lr: number[]; loss_batch0_after: number } }>
  >;
}

const int64 = (rows: readonly number[][]): HostTensor => ({
  dtype: 'int64',
  dims: [rows.length, rows[0].length],
  data: BigInt64Array.from(rows.flat(), BigInt),
});

const toBatch = ({ labels, ...inputs }: Fixture['batches'][number]): TrainingBatch => ({
  inputs: {
    ...Object.fromEntries(Object.entries(inputs).map(([name, rows]) => [name, int64(rows)])),
    labels: { dtype: 'int64', dims: [labels.length], data: BigInt64Array.from(labels, BigInt) },
  },
});

const loss: TrainerOptions['loss'] = (build, outputs) => {
  const logits = outputs.get('logits')!;
  return crossEntropy(build, logits, build.input('labels', 'int64', logits.shape!.slice(0, 1)));
};

const transposed = (data: Float32Array, rows: number): Float32Array => {
  const columns = data.length / rows;
  return data.map((_, i) => data[(i % rows) * columns + Math.floor(i / rows)]);
};

const sameData = (a: Float32Array, b: Float32Array): boolean => Buffer.compare(bytes(a), bytes(b)) === 0;
const bytes = (array: Float32Array): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Checkpoint name of each parameter, found by its data; matrices may be stored [in, out]. */
function checkpointNames(model: Model, file: SafetensorsFile): Map<string, { name: string; isTransposed: boolean }> {
  return new Map(
    parameterNames(model).map((parameter): [string, { name: string; isTransposed: boolean }] => {
      const data = model.graph.value(parameter).constant!.data as Float32Array;
      for (const name of file.tensors.keys()) {
        const tensor = file.read(name);
        const stored = tensor.data as Float32Array;
        if (stored.length !== data.length) continue;
        if (sameData(stored, data)) return [parameter, { name, isTransposed: false }];
        if (sameData(transposed(stored, tensor.dims[0]), data)) return [parameter, { name, isTransposed: true }];
      }
      throw new Error(`no checkpoint tensor holds the data of ${parameter}`);
    }),
  );
}

describeWithShared('three steps of AdamW on BERT equal PyTorch', () => {
  const fixture = JSON.parse(readFileSync(sharedPath('fixtures', 'grads', 'bert.json'), 'utf8')) as Fixture;
  const checkpoint = SafetensorsFile.open(sharedPath('fixtures', 'hf', 'bert', 'model.safetensors'));
  afterAll(() => checkpoint.close());

  const models: Record<string, () => Promise<Model>> = {
    'our builder': async () => (await importHuggingFace(sharedPath('fixtures', 'hf', 'bert'))).bundle.model,
    'legacy export': () => readModelFile(sharedPath('fixtures', 'onnx', 'bert-legacy-op17', 'model.onnx')),
    'dynamo export': () => readModelFile(sharedPath('fixtures', 'onnx', 'bert-dynamo-op20', 'model.onnx')),
  };
  const decays = (except: (name: string) => boolean): Record<string, DecayRule> => ({
    all_decay: (_, decay) => decay,
    no_decay: (spec, decay) => (except(spec.name) ? 0 : decayMatrices(spec, decay)),
    clip_schedule: (_, decay) => decay,
  });

  for (const [origin, load] of Object.entries(models)) {
    it.each(Object.keys(fixture.variants))(`${origin}: %s`, async (variant) => {
      const model = await load();
      const names = checkpointNames(model, checkpoint);
      const isNorm = (name: string): boolean => /LayerNorm|bias$/.test(names.get(name)!.name);
      const clipNorm = variant === 'clip_schedule' ? 0.5 : null;
      const trainer = new Trainer({
        model,
        loss,
        seed: 0,
        compile: { threads: 1 },
        optimizer: optimizerSchema.parse({ learningRate: 1e-3, weightDecay: 0.01, clipNorm }),
        decay: decays(isNorm)[variant],
      });
      const expected = fixture.variants[variant].fp32;
      for (const [i, raw] of fixture.batches.entries()) {
        const result = await trainer.train([toBatch(raw)], expected.lr[i]);
        expect(result.loss).toBeCloseTo(expected.losses[i], 5);
        expect(Math.abs(result.gradientNorm - expected.grad_norms[i])).toBeLessThan(2e-5);
      }

      const after = SafetensorsFile.open(sharedPath('fixtures', 'grads', `bert.adamw3.${variant}.safetensors`));
      const worst = [...names].map(([parameter, { name, isTransposed }]) => {
        const tensor = after.read(name);
        const stored = tensor.data as Float32Array;
        const reference = isTransposed ? transposed(stored, tensor.dims[0]) : stored;
        const { weight } = trainer.parameter(parameter);
        const off = weight.map((x, i) => Math.abs(x - reference[i]));
        return { name, max: off.reduce((a, b) => Math.max(a, b)), above: off.filter((x) => x > 1e-5).length };
      });
      after.close();
      await trainer.release();
      // The key bias has a true gradient of zero, so what Adam makes of it is noise.
      const compared = worst.filter(({ name }) => !name.endsWith('attention.self.key.bias'));
      expect(compared).toHaveLength(39);
      // So is, in two elements of the fixture, a gradient of the size of Adam's epsilon.
      expect(compared.reduce((sum, { above }) => sum + above, 0)).toBeLessThanOrEqual(2);
      expect(Math.max(...compared.map(({ max }) => max))).toBeLessThan(5e-5);
    });
  }
});
