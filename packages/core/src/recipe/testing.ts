/** @file Stage definitions for tests of recipes: they never run. */
import { z } from 'zod';
import type { StageDefinition } from '../stages/stage';
import type { StageDefinitions } from './resolve';

function definition<Config>(
  type: string,
  schema: z.ZodType<Config>,
  more: Partial<StageDefinition<Config>> = {},
): StageDefinition<Config> {
  return {
    type,
    version: 1,
    queue: 'prune',
    summary: `Test stage ${type}.`,
    schema,
    needs: { model: true, datasets: [] },
    makesModel: true,
    run: () => Promise.reject(new Error('not run in these tests')),
    ...more,
  };
}

const pruneConfig = z.strictObject({
  target: z.number().min(0).max(1).default(0.5).describe('Share to remove.'),
  schedule: z.strictObject({ steps: z.int().positive().default(10) }).prefault({}),
});

export const TEST_STAGES: StageDefinitions = {
  prune: definition('prune', pruneConfig, {
    estimate: ({ target }) => ({ parameters: 1 - target, bytes: 1 - target, notes: [] }),
    check: ({ target }, { model }) =>
      target === 1 && model !== undefined ? [{ path: 'target', code: 'all', message: 'Nothing would be left.' }] : [],
  }),
  quantize: definition('quantize', z.strictObject({}), { estimate: () => ({ bytes: 0.25, notes: ['int8'] }) }),
  evaluate: definition('evaluate', z.strictObject({}), {
    needs: { model: true, datasets: ['data'] },
    makesModel: false,
  }),
  finetune: definition('finetune', z.strictObject({}), { needs: { model: 'optional', datasets: [] } }),
  pretrain: definition('pretrain', z.strictObject({}), { needs: { model: false, datasets: ['unlabelled'] } }),
};
