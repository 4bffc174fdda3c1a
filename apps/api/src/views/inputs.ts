/** @file Models, data sets, recipes and artifacts as the API shows them. */
import { datasetInfoSchema, manifestSchema, recipeSchema } from '@modelpress/core';
import type { ArtifactView, DatasetView, FileView, ModelView, RecipeView } from '@modelpress/service';
import { z } from 'zod';
import { id, time, viewOf } from './view';

const stored = { artifactId: id, digest: z.string(), bytes: z.int(), createdAt: time };

export const fileView = viewOf<FileView>()(
  z.object({ path: z.string(), sha256: z.string(), bytes: z.int() }).meta({ id: 'StoredFile' }),
);

export const modelView = viewOf<ModelView>()(
  z.object({ id, name: z.string(), ...stored, manifest: manifestSchema }).meta({ id: 'Model' }),
);

/** A model that was just uploaded, with what its import noticed. */
export const importedModelView = modelView.extend({ warnings: z.array(z.string()) }).meta({ id: 'ImportedModel' });

export const datasetView = viewOf<DatasetView>()(
  z.object({ id, name: z.string(), ...stored, info: datasetInfoSchema }).meta({ id: 'Dataset' }),
);

export const recipeView = viewOf<RecipeView>()(
  z
    .object({ id, name: z.string(), document: recipeSchema, createdAt: time, updatedAt: time })
    .meta({ id: 'SavedRecipe' }),
);

export const artifactView = viewOf<ArtifactView>()(
  z
    .object({ id, kind: z.string(), digest: z.string(), bytes: z.int(), createdAt: time, files: z.array(fileView) })
    .meta({ id: 'Artifact' }),
);
