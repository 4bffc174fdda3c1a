import { createTransformer, transformerConfig } from '../models';
import { parameterNames } from '../passes';
import { ortRuntime } from '../runtime';
import { temporaryFolder } from '../stages/testing';
import { Batches, bertTokenizer, Tokenizer, TokenRows } from '../text';
import { TokenRowsWriter } from '../text/token-rows';
import { DEFAULT_MASKING } from '../text/mask-tokens';
import { Random } from '../train/random';
import { HeldOutLoss } from './held-out';
import { objectiveOf } from './objective';

const VOCABULARY = 40;
const words = [
  '[PAD]',
  '[UNK]',
  '[CLS]',
  '[SEP]',
  '[MASK]',
  ...Array.from({ length: VOCABULARY - 5 }, (_, i) => `w${i}`),
];
const tokenizer = new Tokenizer(bertTokenizer(Object.fromEntries(words.map((word, id) => [word, id]))));

/** Rows of several lengths, so that two batch shapes and padding occur. */
function rowsOf(lengths: readonly number[]): TokenRows {
  const random = new Random(5);
  const folder = temporaryFolder();
  const writer = new TokenRowsWriter(folder);
  for (const length of lengths) {
    const ids = Array.from({ length }, () => 5 + random.integer(VOCABULARY - 5));
    writer.push([2, ...ids, 3], length + 2, NaN);
  }
  writer.close();
  return new TokenRows(folder);
}

describe('loss on held-out text', () => {
  it.each(['roberta', 'gpt2'] as const)(
    '%s: the mean of -ln softmax over predicted tokens, from the logits of the whole model',
    async (architecture) => {
      const sizes = { layers: 2, hidden: 16, heads: 2, vocabulary: VOCABULARY, maxLength: 16, padId: 0 };
      const task = architecture === 'gpt2' ? 'causal-lm' : 'masked-lm';
      const config = { ...transformerConfig(architecture, sizes), initializerRange: 0.5 };
      const bundle = createTransformer(config, { task, seed: 3, name: 'tiny' });
      const { inputs } = bundle.manifest;
      const rows = rowsOf([14, 13, 6, 5, 12, 3, 14]);
      const options = { batchSize: 3, maxLength: 16, padId: 0, inputs, labels: 'none' as const, buckets: [8] };
      const text = new Batches(rows, options);
      const objective = objectiveOf(bundle, tokenizer, { ...DEFAULT_MASKING, share: 0.4 });
      const weights = Object.fromEntries(
        parameterNames(objective.model).map((name) => [name, objective.model.graph.value(name).constant!]),
      );
      const shared = { runtime: ortRuntime, compile: { threads: 1 }, seed: 1 };
      const heldOut = new HeldOutLoss({ objective, text, batches: 10, ...shared }, weights);
      const actual = await heldOut.compute();
      expect(await heldOut.compute()).toBe(actual);
      await heldOut.release();

      const executable = await ortRuntime.compile(bundle.model, { threads: 1 });
      const epoch = text.epoch(0);
      expect(epoch.count).toBe(3);
      let [sum, count] = [0, 0];
      for (let index = 0; index < epoch.count; index++) {
        const { inputs: shown } = objective.batch(epoch.batch(index), rows, [1, 2 ** 32 - 1, index]);
        const feeds = Object.fromEntries(inputs.map((name) => [name, shown[name]]));
        const { logits } = await executable.run(feeds);
        const places =
          shown.selected_positions?.data ??
          BigInt64Array.from({ length: shown.labels.data.length }, (_, place) => BigInt(place));
        Array.from(shown.labels.data, Number).forEach((label, i) => {
          if (label < 0) return;
          const start = Number(places[i]) * VOCABULARY;
          const scores = Array.from(logits.data.slice(start, start + VOCABULARY), Number);
          sum += Math.log(scores.reduce((total, score) => total + Math.exp(score), 0)) - scores[label];
          count++;
        });
      }
      await executable.release();
      expect(count).toBe(heldOut.tokens);
      expect(actual).toBeCloseTo(sum / count, 4);
    },
  );
});
