/** What a recipe says about running, in the words of an image config. */
import type { DebianRecipe } from '../image.ts';
import type { ImageRecord } from '../image-record.ts';

export function recipeConfig(recipe: DebianRecipe): ImageRecord['config'] {
  return {
    entrypoint: [...(recipe.entrypoint ?? [])], command: [...(recipe.command ?? [])],
    env: Object.entries(recipe.env ?? {}).map(([name, value]) => `${name}=${value}`),
    workingDir: recipe.workingDir ?? '', user: recipe.user ?? '', exposedPorts: [...(recipe.exposedPorts ?? [])],
    volumes: [], labels: {}, stopSignal: recipe.stopSignal ?? '', healthcheck: null,
  };
}
