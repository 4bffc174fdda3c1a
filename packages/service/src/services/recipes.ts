import {
  expandSweep,
  goalIssues,
  resolveRecipe,
  throwIfIssues,
  type Recipe,
  type StageDefinitions,
} from '@modelpress/core';
import type { DataSource } from 'typeorm';
import type { Page, PageRequest, Recipes, RecipeView } from '../contract';
import { RecipeEntity, type SavedRecipe } from '../database/entities';
import { insertRows, updateRows } from '../database/write';
import { conflict, notFound } from '../errors';
import { isId, newId } from '../ids';
import { isDuplicate } from './duplicates';
import { findPage } from './paging';

export class RecipeService implements Recipes {
  constructor(
    private readonly database: DataSource,
    private readonly definitions: StageDefinitions,
  ) {}

  async create(projectId: string, document: Recipe): Promise<RecipeView> {
    this.check(document);
    const now = new Date();
    const row: SavedRecipe = { id: newId(), projectId, name: document.name, document, createdAt: now, updatedAt: now };
    await insertRows(this.database.manager, RecipeEntity, [row]).catch(rethrowTaken(document.name));
    return viewOf(row);
  }

  async update(projectId: string, recipeId: string, document: Recipe): Promise<RecipeView> {
    this.check(document);
    const { id } = await this.row(projectId, recipeId);
    const changes = { name: document.name, document, updatedAt: new Date() };
    await updateRows(this.database.manager, RecipeEntity, { id }, changes).catch(rethrowTaken(document.name));
    return this.get(projectId, recipeId);
  }

  async get(projectId: string, recipeId: string): Promise<RecipeView> {
    return viewOf(await this.row(projectId, recipeId));
  }

  list(projectId: string, page: PageRequest = {}): Promise<Page<RecipeView>> {
    return findPage(this.database, RecipeEntity, { projectId }, page, (rows) => rows.map(viewOf));
  }

  async delete(projectId: string, recipeId: string): Promise<void> {
    const { id } = await this.row(projectId, recipeId);
    await this.database.manager.delete(RecipeEntity, { id });
  }

  private check(document: Recipe): void {
    for (const { recipe } of expandSweep(document))
      throwIfIssues('recipe.invalid', goalIssues(recipe.goals, resolveRecipe(recipe, this.definitions)));
  }

  private async row(projectId: string, recipeId: string): Promise<SavedRecipe> {
    const found = isId(recipeId)
      ? await this.database.manager.findOneBy(RecipeEntity, { id: recipeId, projectId })
      : null;
    if (found === null) throw notFound('recipe', recipeId);
    return found;
  }
}

const viewOf = ({ id, name, document, createdAt, updatedAt }: SavedRecipe): RecipeView => ({
  id,
  name,
  document,
  createdAt,
  updatedAt,
});

const rethrowTaken = (name: string) => (error: unknown) => {
  throw isDuplicate(error)
    ? conflict('recipe.name-taken', `There is a recipe "${name}" already.`, { field: 'name' })
    : error;
};
