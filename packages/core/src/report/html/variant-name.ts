/** @file What the variants of a sweep are called. */

export const isSeed = (path: string): boolean => path === 'seed' || path.endsWith('.seed');

/** `prune.config.target` is `prune target`. */
export const shortPath = (path: string): string => path.replace('.config.', ' ').replaceAll('.', ' ');

/** `prune target 0.6, prune seed 1`. */
export const variantName = (values: readonly (readonly [path: string, value: unknown])[]): string =>
  values
    .map(([path, value]) => `${shortPath(path)} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ');
