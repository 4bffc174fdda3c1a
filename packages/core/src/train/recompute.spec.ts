import { buildTrainingGraph } from '../autodiff';
import { print, verify } from '../graph';
import type { Model } from '../graph';
import { costOf } from '../graph/cost';
import { buildTransformer, freshWeights, insertDropout, transformerConfig } from '../models';
import { parameterNames, specialise } from '../passes';
import { optimizerSchema } from './optimizer';
import { recomputeActivations } from './recompute';
import { bagBatch, bagModel, classificationLoss } from './testing';
import { Trainer } from './trainer';
import type { TrainingBatch } from './trainer';

const LAYERS = 6;

function transformer(architecture: 'bert' | 'gpt2', layers = LAYERS): Model {
  const config = transformerConfig(architecture, {
    layers,
    hidden: 16,
    heads: 2,
    vocabulary: 1200,
    maxLength: 16,
  });
  return buildTransformer(config, { task: 'classification', labels: 3 }, freshWeights(3, 0.1)).model;
}

const sizes = (model: Model): Record<string, readonly number[]> =>
  Object.fromEntries(model.graph.inputs.map(({ name }) => [name, [16, 16]]));

function trainingGraph(model: Model): { model: Model; loss: string } {
  return buildTrainingGraph(specialise(model, sizes(model)), {
    parameters: parameterNames(model),
    outputs: [],
    loss: classificationLoss,
  });
}

describe('recomputeActivations', () => {
  it.each(['bert', 'gpt2'] as const)('cuts a %s into blocks and halves what must be held', (architecture) => {
    const { model, loss } = trainingGraph(transformer(architecture));
    const before = costOf(model);
    const count = recomputeActivations(model, loss);
    verify(model);
    const after = costOf(model);
    expect(count).toBeGreaterThanOrEqual(LAYERS - 1);
    expect(count).toBeLessThanOrEqual(2 * LAYERS);
    expect(after.peakActivationBytes).toBeLessThan(0.5 * before.peakActivationBytes);
    expect(after.flops).toBeGreaterThan(before.flops);
    expect(after.flops).toBeLessThan(1.4 * before.flops);
  });

  it.each(['bert', 'gpt2'] as const)('%s: the same loss and gradients, with dropout', async (architecture) => {
    const model = transformer(architecture);
    const { ids, labels } = bagBatch(1, 4, 8).inputs;
    const ones = { ...ids, data: new BigInt64Array(32).fill(1n) };
    const zeros = { ...ids, data: new BigInt64Array(32) };
    const inputs = { input_ids: ids, attention_mask: ones, ...(architecture === 'bert' && { token_type_ids: zeros }) };
    const batch: TrainingBatch = { inputs: { ...inputs, labels } };
    const results: { loss: number; gradients: number[] }[] = [];
    for (const recompute of [false, true]) {
      const trainer = new Trainer({
        model,
        loss: classificationLoss,
        dropout: (special) => insertDropout(special, { ratio: 0.1 }),
        optimizer: optimizerSchema.parse({ learningRate: 0.01 }),
        seed: 1,
        compile: { threads: 1 },
        recompute,
      });
      const { loss } = await trainer.train([batch]);
      results.push({ loss, gradients: trainer.slabs.slots.flatMap(({ gradient }) => [...gradient]) });
      await trainer.release();
    }
    const [kept, again] = results;
    expect(again.loss).toBeCloseTo(kept.loss, 6);
    const off = again.gradients.map((x, i) => Math.abs(x - kept.gradients[i]));
    expect(off.reduce((a, b) => Math.max(a, b))).toBeLessThan(1e-6);
  });

  it('copies what the backward pass reads, from the checkpoint and the gradient that arrives', () => {
    const model = bagModel();
    const graph = buildTrainingGraph(specialise(model, { ids: [4, 5] }), {
      parameters: parameterNames(model),
      outputs: [],
      loss: classificationLoss,
    });
    recomputeActivations(graph.model, graph.loss);
    const lines = print(graph.model)
      .split('\n')
      .filter((line) => line.includes('again'));
    expect(lines.join('\n')).toMatchInlineSnapshot(`
"  %ReduceMean.again: float32[4,6] = Add(%ReduceMean, %Mul)
  %MatMul.again: float32[4,8] = MatMul(%ReduceMean.again, %W1)
  %Add.again: float32[4,8] = Add(%MatMul.again, %b1)
  %hidden.again: float32[4,8] = Relu(%Add.again)
  %grad.W2: float32[8,3] = Gemm(%hidden.again, %grad.ScatterElements_9) {transA: 1}
  %grad.Sign: float32[4,8] = Sign(%hidden.again)"
`);
  });

  it('keeps what the backward pass starts with', () => {
    const { model, loss } = trainingGraph(transformer('bert', 1));
    recomputeActivations(model, loss);
    expect(print(model)).not.toContain('ffn.gelu.again');
  });
});
