import { z } from 'zod';
import { recoverySchema } from '../finetune/recovery';

/** Matrices of a layer, which layers can share. */
export const LAYER_COMPONENTS = ['W_Q', 'W_K', 'W_V', 'W_AO', 'W_I', 'W_O'] as const;
/** Matrices that can be stored as codes. */
export const CODEBOOK_COMPONENTS = [...LAYER_COMPONENTS, 'W_P', 'embeddings'] as const;

const layersSchema = z
  .strictObject({
    type: z.literal('layers'),
    groups: z
      .union([z.enum(['all', 'pairs']), z.array(z.array(z.int().min(0)).min(2)).min(1)])
      .default('pairs')
      .describe('Layers that use one matrix: all, neighbouring pairs, or lists of layers counted from 0.'),
    components: z
      .array(z.enum(LAYER_COMPONENTS))
      .min(1)
      .default(['W_I', 'W_O'])
      .describe('Roles of the matrices that are shared; biases and norms stay each layer’s own.'),
  })
  .describe('Several layers use one matrix, which starts at the average of theirs.');

const codebooksSchema = z
  .strictObject({
    type: z.literal('codebooks'),
    bits: z.int().min(1).max(8).default(4).describe('Bits of a weight: a table has 2^bits values.'),
    components: z
      .array(z.enum(CODEBOOK_COMPONENTS))
      .min(1)
      .default([...CODEBOOK_COMPONENTS])
      .describe('Roles of the matrices that are stored as codes.'),
    rowsPerGroup: z.int().min(1).optional().describe('Rows that share a table; default: one table for a matrix.'),
    train: z
      .enum(['centroids', 'all'])
      .default('all')
      .describe('What recovery training changes: only the tables, or also everything that is not stored as codes.'),
  })
  .describe('Weights become codes into small tables of values.');

export const shareSchema = recoverySchema.extend({
  share: z
    .discriminatedUnion('type', [layersSchema, codebooksSchema])
    .default({ type: 'codebooks', bits: 4, components: [...CODEBOOK_COMPONENTS], train: 'all' })
    .describe('What is used more than once: matrices by several layers, or values by many weights.'),
});
export type ShareConfig = z.infer<typeof shareSchema>;
export type LayerSharing = z.infer<typeof layersSchema>;
export type CodebookSharing = z.infer<typeof codebooksSchema>;
