import { ModelpressError, withRecipeLines } from '@modelpress/core';

/** Runs work on a recipe; if it came as text, what is wrong gets the line that it stands on. */
export async function atRecipeLines<T>(recipe: unknown, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isText = typeof recipe === 'string' && recipe.includes(':');
    throw isText && error instanceof ModelpressError ? withRecipeLines(error, recipe) : error;
  }
}
