import { Tensor } from '../graph';
import { transformerConfig } from './config';
import { maxDifference, runModel, tokenBatch } from './testing';
import { buildTransformer } from './transformer';
import { freshWeights, weightsOf } from './weights';

describe('the masked-LM head', () => {
  it.each(['bert', 'roberta', 'distilbert'] as const)(
    '%s decodes selected positions as it decodes all',
    async (architecture) => {
      const config = transformerConfig(architecture, { layers: 1, hidden: 8, heads: 2, vocabulary: 30, maxLength: 12 });
      const { model } = buildTransformer(config, { task: 'masked-lm' }, freshWeights(1, 0.3));
      const selecting = buildTransformer(config, { task: 'masked-lm', selected: true }, weightsOf(model));
      expect(selecting.inputs).toContain('selected_positions');
      const batch = tokenBatch(2, 5, 30);
      const { logits } = await runModel(model, batch);
      const positions = [1, 4, 7];
      const some = await runModel(selecting.model, batch, [], { selected_positions: Tensor.int64([3], positions) });
      const wanted = positions.flatMap((position) => Array.from(logits.slice(position * 30, (position + 1) * 30)));
      expect(maxDifference(some.logits, wanted)).toBeLessThan(1e-5);
    },
  );
});
