/** @file Stage `accelerate`: adds a form of the model for the native runtime, in which pruned weights are really skipped. */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { addNativeForm, readBundle } from '../bundle';
import type { Manifest } from '../bundle';
import { invalid, unsupported } from '../errors';
import { refuseQuantized } from '../quantize/sites';
import { nativeObstacle } from '../runtime';
import { accelerate } from '../sparse';
import { checkAnswers } from '../sparse/check-answers';
import { accelerateMeasurements, accelerateSections, accelerateWarnings } from './accelerate-report';
import type { Issue, StageContext, StageDefinition, StagePreview, StageResult } from './stage';

const schema = z.strictObject({
  batch: z.int().min(1).max(1024).default(8).describe('Rows fed at once when forms are compared.'),
  sequence: z.int().min(1).default(128).describe('Tokens of each row when forms are compared.'),
  seconds: z.number().min(0.05).max(60).default(0.5).describe('Time for comparing the forms of one kind of weight.'),
  int8: z
    .boolean()
    .default(false)
    .describe(
      'Also let weights become int8 where that is fastest. It changes answers a little: evaluate the result. Without it answers stay equal up to rounding.',
    ),
});
export type AccelerateConfig = z.infer<typeof schema>;

/** Name of this step in a model's provenance. */
const STEP = 'accelerate';

export const accelerateStage: StageDefinition<AccelerateConfig> = {
  type: STEP,
  version: 2,
  queue: 'bench',
  summary:
    'Adds a form of the model for the native runtime: each product dense, int8 or sparse, whichever this machine runs fastest. The plain model.onnx stays as it is.',
  schema,
  needs: { model: true, datasets: [] },
  makesModel: true,
  onQuantized: () => ({ refuses: 'accelerate the float model it was made from' }),
  check,
  outcome: (_, model) => model,
  estimate: ({ seconds }) => ({
    parameters: 1,
    bytes: 1,
    flops: 1,
    seconds: 10 + 8 * seconds,
    notes: ['model.onnx stays as it is; native.onnx comes beside it.'],
  }),
  run,
};

function check({ sequence }: AccelerateConfig, { model }: StagePreview): readonly Issue[] {
  if (!model) return [];
  const obstacle = obstacleOf(model);
  if (obstacle) return [{ path: '', code: 'unsupported', message: obstacle }];
  if (sequence <= model.maxLength) return [];
  return [{ path: 'sequence', code: 'too-long', message: `The model takes at most ${model.maxLength} tokens.` }];
}

const obstacleOf = ({ architecture }: Manifest): string | undefined =>
  architecture === 'dan' ? 'A DAN has a runtime of its own.' : undefined;

async function run(config: AccelerateConfig, context: StageContext): Promise<StageResult> {
  const { model: folder, threads, signal, seed } = context;
  if (folder === undefined) throw invalid('stage.model', 'The accelerate stage needs a model.');
  const missing = nativeObstacle();
  if (missing) throw unsupported('runtime.native', `The accelerate stage needs the native runtime: ${missing}`);
  context.progress({ fraction: 0, phase: 'reading the model' });
  const { model, manifest } = await readBundle(folder);
  refuseQuantized(model.graph);
  const obstacle = obstacleOf(manifest);
  if (obstacle) throw unsupported('accelerate.model', obstacle);
  const { batch, sequence, seconds, int8 } = config;
  const accelerated = await accelerate(model, {
    rows: batch * sequence,
    threads,
    seconds,
    int8,
    components: manifest.components,
    signal,
    onProgress: (done, total) =>
      context.progress({ fraction: 0.05 + (0.75 * done) / total, phase: `weight ${done}/${total}` }),
  });
  context.progress({ fraction: 0.85, phase: 'writing the model' });
  const output = join(context.output, 'model');
  await cp(folder, output, { recursive: true });
  await addNativeForm(output, accelerated.model, formCounts(accelerated.weights.map(({ form }) => form)));
  context.progress({ fraction: 0.9, phase: 'comparing answers' });
  const difference = await checkAnswers(output, { seed, threads });
  return {
    model: 'model',
    measurements: accelerateMeasurements(difference),
    sections: accelerateSections(accelerated.weights, config, difference),
    warnings: accelerateWarnings(accelerated.weights),
  };
}

function formCounts(forms: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const form of forms) counts[form] = (counts[form] ?? 0) + 1;
  return counts;
}
