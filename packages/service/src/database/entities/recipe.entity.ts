import type { Recipe } from '@modelpress/core';
import { EntitySchema } from 'typeorm';
import { createdAt, id, json, references, text, time, uuid } from '../columns';

/** A recipe saved for reuse. A job keeps its own copy, so editing one never changes a job. */
export interface SavedRecipe {
  id: string;
  projectId: string;
  name: string;
  document: Recipe;
  createdAt: Date;
  updatedAt: Date;
}

export const RecipeEntity = new EntitySchema<SavedRecipe>({
  name: 'recipe',
  columns: {
    id: id(),
    projectId: { ...uuid(), ...references('project') },
    name: text(),
    document: json(),
    createdAt: createdAt(),
    updatedAt: time(),
  },
  indices: [
    { name: 'recipe_project', columns: ['projectId', 'id'] },
    { name: 'recipe_name', columns: ['projectId', 'name'], unique: true },
  ],
});
