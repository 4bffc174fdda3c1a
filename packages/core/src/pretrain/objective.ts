/** @file What a language model is trained to predict, as a graph, a loss and batches. */
import { crossEntropy } from '../autodiff';
import type { Bundle } from '../bundle';
import type { Architecture, Task } from '../bundle/manifest';
import { unsupported } from '../errors';
import { taskLoss } from '../finetune/loss';
import type { Model } from '../graph';
import { buildTransformer, transformerConfigOf, weightsOf } from '../models';
import { parameterNames } from '../passes';
import type { Batch, Tokenizer, TokenRows } from '../text';
import { TokenMasker } from '../text/mask-tokens';
import type { Masking } from '../text/mask-tokens';
import type { BatchInputs, ProgramOptions } from '../train/program';

/** A batch and how many of its tokens are predicted. */
export interface CountedBatch {
  readonly inputs: BatchInputs;
  readonly count: number;
}

export interface Objective {
  /** The graph to train; its parameters are named and shaped as in the bundle's model. */
  readonly model: Model;
  /** Mean cross-entropy of the predicted tokens, in nats. */
  readonly loss: ProgramOptions['loss'];
  /** @param stream numbers that fix what is hidden; see `TokenMasker.mask` */
  batch(batch: Batch, rows: TokenRows, stream: readonly number[]): CountedBatch;
}

/** GPT-2 predicts the next token, an encoder masked tokens. */
export const objectiveTask = (architecture: Architecture): Task =>
  architecture === 'gpt2' ? 'causal-lm' : 'masked-lm';

/** @throws unsupported `pretrain.task` for a bundle that is no language model; `tokenizer.special-token` without mask token */
export function objectiveOf(bundle: Bundle, tokenizer: Tokenizer, masking: Masking): Objective {
  const { task } = bundle.manifest;
  if (task === 'masked-lm') return maskedTokens(bundle, tokenizer, masking);
  if (task === 'causal-lm') return nextToken(bundle);
  throw unsupported('pretrain.task', `A ${task} model is no language model.`, { field: 'task' });
}

/** Only the hidden positions go through the head: with a large vocabulary it would be most of the work. */
function maskedTokens(bundle: Bundle, tokenizer: Tokenizer, masking: Masking): Objective {
  const masker = TokenMasker.of(tokenizer, masking);
  const head = { task: 'masked-lm', selected: true } as const;
  const { model, output } = buildTransformer(transformerConfigOf(bundle), head, weightsOf(bundle.model));
  const unknown = parameterNames(bundle.model).find((name) => !model.graph.values.has(name));
  if (unknown !== undefined) {
    throw unsupported('pretrain.weights', `The model has weights that its architecture has not: "${unknown}".`);
  }
  return {
    model,
    loss(build, outputs) {
      const logits = outputs.get(output)!;
      const labels = build.input('labels', 'int64', logits.shape!.slice(0, 1));
      return crossEntropy(build, logits, labels);
    },
    batch(batch, _, stream) {
      const { inputs, positions, labels, count } = masker.mask(batch, stream);
      return { inputs: { ...inputs, selected_positions: positions, labels }, count };
    },
  };
}

function nextToken({ model, manifest }: Bundle): Objective {
  const task = taskLoss(manifest.task, manifest.output, { labelSmoothing: 0 });
  return {
    model,
    loss: task.loss,
    batch(batch, rows) {
      const { inputs } = task.training(batch, rows);
      const labels = inputs.labels.data as BigInt64Array;
      return { inputs, count: labels.reduce((count, label) => count + (label < 0n ? 0 : 1), 0) };
    },
  };
}
