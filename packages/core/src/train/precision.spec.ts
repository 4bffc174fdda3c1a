import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWithNative } from '../../../../tools/native-addon';
import { crossEntropy } from '../autodiff';
import { finetune, finetuneSchema } from '../finetune';
import { stageContext, writeColours } from '../finetune/testing';
import type { Model } from '../graph';
import { buildTransformer, freshWeights, insertDropout, transformerConfig } from '../models';
import { bf16Obstacle, nativeRuntime, ortRuntime, switchNative } from '../runtime';
import type { HostTensor, Precision, Runtime } from '../runtime';
import { optimizerSchema } from './optimizer';
import { precisionSchema, trainingEngine } from './precision';
import { Random } from './random';
import { Trainer } from './trainer';
import type { TrainingBatch } from './trainer';

const [ROWS, SEQUENCE, VOCABULARY] = [8, 32, 200];

function smallBert(): Model {
  const size = { layers: 2, hidden: 64, heads: 2, vocabulary: VOCABULARY, maxLength: SEQUENCE };
  return buildTransformer(transformerConfig('bert', size), { task: 'classification', labels: 2 }, freshWeights(1, 0.02))
    .model;
}

function batchOf(seed: number): TrainingBatch {
  const random = new Random(seed);
  const int64 = (dims: readonly number[], draw: () => number): HostTensor => ({
    dtype: 'int64',
    dims,
    data: BigInt64Array.from({ length: dims.reduce((a, b) => a * b) }, () => BigInt(draw())),
  });
  const dims = [ROWS, SEQUENCE];
  return {
    inputs: {
      input_ids: int64(dims, () => random.integer(VOCABULARY)),
      attention_mask: int64(dims, () => 1),
      token_type_ids: int64(dims, () => 0),
      labels: int64([ROWS], () => random.integer(2)),
    },
  };
}

/** The losses and first gradient norm of 20 steps over 4 batches, and the timer ticks meanwhile. */
async function trajectory(
  runtime: Runtime,
  precision: Precision,
): Promise<{ losses: number[]; norm: number; ticks: number }> {
  const trainer = new Trainer({
    model: smallBert(),
    loss: (build, outputs) => crossEntropy(build, outputs.get('logits')!, build.input('labels', 'int64', [ROWS])),
    dropout: (model) => insertDropout(model, { ratio: 0.1 }),
    optimizer: optimizerSchema.parse({ learningRate: 1e-3 }),
    seed: 1,
    runtime,
    compile: { threads: 2, precision },
  });
  const batches = [1, 2, 3, 4].map(batchOf);
  const losses: number[] = [];
  let norm = 0;
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  try {
    for (let i = 0; i < 20; i++) {
      const { loss, gradientNorm } = await trainer.train([batches[i % batches.length]]);
      losses.push(loss);
      if (i === 0) norm = gradientNorm;
    }
    return { losses, norm, ticks };
  } finally {
    clearInterval(timer);
    await trainer.release();
  }
}

describeWithNative('training in the native runtime', () => {
  it('gives the same bits in fp32 and leaves the event loop free', async () => {
    const ort = await trajectory(ortRuntime, 'fp32');
    const native = await trajectory(nativeRuntime, 'fp32');
    expect(native.losses).toEqual(ort.losses);
    expect(native.norm).toBe(ort.norm);
    expect(native.ticks).toBeGreaterThan(ort.ticks);
  });
});

describeWithNative(
  'training in bf16',
  () => {
    it('follows the same curve in bf16', async () => {
      const exact = await trajectory(nativeRuntime, 'fp32');
      const rounded = await trajectory(nativeRuntime, 'bf16');
      expect(rounded.losses).not.toEqual(exact.losses);
      const worst = Math.max(...rounded.losses.map((loss, i) => Math.abs(loss - exact.losses[i])));
      expect(worst).toBeLessThan(5e-3);
      expect(Math.abs(rounded.norm / exact.norm - 1)).toBeLessThan(5e-3);
      expect(exact.losses.at(-1)).toBeLessThan(0.8 * exact.losses[0]);
    });

    it('is chosen when a config asks for bf16', () => {
      expect(trainingEngine('bf16')).toEqual({ runtime: nativeRuntime, precision: 'bf16' });
    });
  },
  bf16Obstacle(),
);

describe('precision', () => {
  afterEach(() => switchNative('auto'));

  it('is fp32 on onnxruntime-node unless asked otherwise', () => {
    expect(precisionSchema.parse(undefined)).toBe('fp32');
    expect(trainingEngine('fp32')).toEqual({ runtime: ortRuntime, precision: 'fp32' });
  });

  it('falls back to fp32 where bf16 is not possible, and the stage says so', async () => {
    switchNative('off');
    const folder = mkdtempSync(join(tmpdir(), 'modelpress-precision-'));
    try {
      const dataset = writeColours(join(folder, 'data'));
      const config = finetuneSchema.parse({
        scratch: { layers: 1, hidden: 16, vocabulary: 200 },
        epochs: 1,
        maxLength: 8,
        precision: 'bf16',
      });
      const { warnings } = await finetune(config, { ...stageContext(folder, dataset), dataset });
      expect(warnings).toContain(
        'Trained in fp32, because precision bf16 is not possible here: The native runtime is turned off by configuration.',
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
