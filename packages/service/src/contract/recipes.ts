/** @file Saved recipes. */
import type { Recipe } from '@modelpress/core';
import type { Page, PageRequest } from './page';

export interface RecipeView {
  readonly id: string;
  readonly name: string;
  readonly document: Recipe;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface Recipes {
  /** @throws ModelpressError `recipe.invalid`; `conflict` if the name is taken. */
  create(projectId: string, document: Recipe): Promise<RecipeView>;
  update(projectId: string, recipeId: string, document: Recipe): Promise<RecipeView>;
  get(projectId: string, recipeId: string): Promise<RecipeView>;
  list(projectId: string, page?: PageRequest): Promise<Page<RecipeView>>;
  delete(projectId: string, recipeId: string): Promise<void>;
}
