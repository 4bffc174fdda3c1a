import { parseRecipe, recipeSchema, type Recipe } from '@modelpress/core';
import type { Page, RecipeView, Service } from '@modelpress/service';
import { Body, Controller, Delete, Get, Inject, Param, Post, Put, Query } from '@nestjs/common';
import { ApiConsumes, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { CallerParam, type RequestCaller } from '../common/access';
import { Endpoint } from '../common/endpoint';
import { atRecipeLines } from '../common/recipe-lines';
import { given, pageOf, pageQuery } from '../common/page';
import { SERVICE } from '../tokens';
import { recipeView } from '../views/inputs';

/** A body of application/yaml is text, of application/json a value. */
const recipeBody = z.union([recipeSchema, z.string().min(1)]);
type RecipeBody = z.output<typeof recipeBody>;

const readRecipe = (body: RecipeBody): Recipe => (typeof body === 'string' ? parseRecipe(body) : body);

@ApiTags('recipes')
@Controller('v1/recipes')
export class RecipesController {
  constructor(@Inject(SERVICE) private readonly service: Service) {}

  @Endpoint({
    summary: 'Save a recipe',
    description: 'As JSON, or as YAML with the content type application/yaml.',
    access: 'submitter',
    status: 201,
    response: recipeView,
  })
  @ApiConsumes('application/json', 'application/yaml')
  @Post()
  create(
    @CallerParam() { projectId }: RequestCaller,
    @Body({ schema: recipeBody }) body: RecipeBody,
  ): Promise<RecipeView> {
    return atRecipeLines(body, () => this.service.recipes.create(projectId, readRecipe(body)));
  }

  @Endpoint({ summary: 'Saved recipes', access: 'viewer', response: pageOf(recipeView) })
  @Get()
  list(
    @CallerParam() { projectId }: RequestCaller,
    @Query({ schema: pageQuery }) query: z.output<typeof pageQuery>,
  ): Promise<Page<RecipeView>> {
    return this.service.recipes.list(projectId, given(query));
  }

  @Endpoint({ summary: 'A saved recipe', access: 'viewer', response: recipeView })
  @Get(':id')
  get(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<RecipeView> {
    return this.service.recipes.get(projectId, id);
  }

  @Endpoint({
    summary: 'Replace a saved recipe',
    description: 'Jobs keep their own copy and do not change.',
    access: 'submitter',
    response: recipeView,
  })
  @ApiConsumes('application/json', 'application/yaml')
  @Put(':id')
  update(
    @CallerParam() { projectId }: RequestCaller,
    @Param('id') id: string,
    @Body({ schema: recipeBody }) body: RecipeBody,
  ): Promise<RecipeView> {
    return atRecipeLines(body, () => this.service.recipes.update(projectId, id, readRecipe(body)));
  }

  @Endpoint({ summary: 'Delete a saved recipe', access: 'admin', status: 204 })
  @Delete(':id')
  remove(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<void> {
    return this.service.recipes.delete(projectId, id);
  }
}
