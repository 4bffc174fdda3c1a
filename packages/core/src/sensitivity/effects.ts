/** @file sensitivity.json: what compressing each group of weights did, for people and for later stages. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { invalid } from '../errors';

export const SENSITIVITY_FILE = 'sensitivity.json';
/** The last step of a model's provenance while sensitivity.json lies beside it: later stages write without it. */
export const SENSITIVITY_STEP = 'sensitivity';

/** Groups overlap: a layer, a component of all layers, and a component of one layer (a cell). */
export const SCOPES = ['layer', 'component', 'cell'] as const;

const effectSchema = z.object({
  /** `int8`, `prune 50 %` ... */
  choice: z.string(),
  scope: z.enum(SCOPES),
  group: z.string(),
  layer: z.int().optional(),
  component: z.string().optional(),
  weights: z.array(z.string()),
  /** Figures of the model with this group treated. */
  figures: z.record(z.string(), z.number()),
  /** Mean KL to the original's answers in nats; of a regression, mean squared difference. */
  divergence: z.number(),
  /** Bytes of the group before and after. */
  bytesBefore: z.number(),
  bytesAfter: z.number(),
  /** How many times faster the whole model gets. */
  speedup: z.number().optional(),
  speedupInterval: z.tuple([z.number(), z.number()]).optional(),
  /** `measured` in turns with the original, or by counting `operations`. */
  speedupBy: z.enum(['measured', 'operations']).optional(),
});
export type Effect = z.infer<typeof effectSchema>;
export { effectSchema };

export const sensitivitySchema = z.object({
  format: z.literal(1),
  split: z.string(),
  rows: z.int(),
  seed: z.int(),
  metric: z.string(),
  /** Figures of the model as it is, on the same rows. */
  original: z.record(z.string(), z.number()),
  /** The most harmful first, within choice and scope. */
  effects: z.array(effectSchema),
});
export type Sensitivity = z.infer<typeof sensitivitySchema>;

/** sensitivity.json of a bundle folder, if a sensitivity stage left one there. @throws `sensitivity.corrupt` */
export async function readSensitivity(bundle: string): Promise<Sensitivity | undefined> {
  const path = join(bundle, SENSITIVITY_FILE);
  if (!existsSync(path)) return undefined;
  try {
    return sensitivitySchema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    throw invalid('sensitivity.corrupt', `${SENSITIVITY_FILE} is damaged.`, { file: SENSITIVITY_FILE });
  }
}

/** Groups by how much a choice harms, worst first: layers and components, as the fallback reverts them. */
export const rankingOf = ({ effects }: Sensitivity, choice: string): string[] =>
  effects
    .filter((effect) => effect.choice === choice && effect.scope !== 'cell')
    .sort((a, b) => b.divergence - a.divergence)
    .map(({ group }) => group);

/** Weights of the most harmful cells of a choice. */
export const worstWeights = ({ effects }: Sensitivity, choice: string, count: number): string[] =>
  effects
    .filter((effect) => effect.choice === choice && effect.scope === 'cell')
    .sort((a, b) => b.divergence - a.divergence)
    .slice(0, count)
    .flatMap(({ weights }) => weights);
