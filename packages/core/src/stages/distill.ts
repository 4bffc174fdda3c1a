/** @file Stage `distill`: teach a smaller model what the input model knows. */
import { join } from 'node:path';
import { writeBundle } from '../bundle';
import { writeDan } from '../dan';
import { distilledManifest, distillIssues, onQuantizedTeacher } from '../distill/check';
import { distillSchema } from '../distill/config';
import type { DistillConfig } from '../distill/config';
import { distill } from '../distill/distill';
import { distillReport } from './distill-report';
import type { StageContext, StageDefinition, StageResult } from './stage';

export const distillStage: StageDefinition<DistillConfig> = {
  type: 'distill',
  version: 4,
  queue: 'distill',
  summary:
    'Teach a small model what the input model knows: a transformer, TextCNN, BiLSTM, or a DAN that is a thousand times faster.',
  schema: distillSchema,
  needs: { model: true, baseline: true, teachers: true, datasets: ['data'], optionalDatasets: ['unlabelled'] },
  makesModel: true,
  measures: () => ({ bytes: true }),
  onQuantized: onQuantizedTeacher,
  check: distillIssues,
  outcome: distilledManifest,
  run,
};

async function run(config: DistillConfig, context: StageContext): Promise<StageResult> {
  const result = await distill(config, context);
  const output = join(context.output, 'model');
  await writeBundle(output, result.bundle);
  if (result.dan) writeDan(output, result.dan);
  const report = await distillReport(context.model!, output, result);
  return { model: 'model', ...report, warnings: result.warnings };
}
