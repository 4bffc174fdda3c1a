import type { MaxDrop } from '../recipe/recipe';
import { betterOf } from '../report/compare';

/** How much worse `candidate` is than `original`, in the unit of the metric; negative when it is better. */
export const dropOf = (metric: string, original: number, candidate: number): number =>
  betterOf(metric) === 'higher' ? original - candidate : candidate - original;

/** The largest drop that a goal allows, in the unit of the metric. */
export function allowedDrop({ absolute = Infinity, relative = Infinity }: MaxDrop, original: number): number {
  return Math.min(absolute, relative * Math.abs(original));
}
