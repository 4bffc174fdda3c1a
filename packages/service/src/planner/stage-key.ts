import { createHash } from 'node:crypto';
import { ModelpressError, type DatasetRole } from '@modelpress/core';

/** Everything that decides a stage's result. */
export interface StageKeyParts {
  readonly type: string;
  readonly version: number;
  /** As the stage's schema parsed it, defaults filled in. */
  readonly config: unknown;
  readonly seed: number;
  /** Digest of the input model, or the key of the stage run that makes it; null: the stage reads none. */
  readonly model: string | null;
  /** Digest of the original model, for stages that compare with it. */
  readonly baseline: string | null;
  /** Digests of further teachers, for stages that learn from them. */
  readonly teachers?: readonly string[] | undefined;
  /** Digests by role. */
  readonly datasets: Partial<Record<DatasetRole, string>>;
}

/**
 * SHA-256 (hex) over the canonical JSON of the parts. A stage whose input another stage makes takes that one's key, so a
 * whole chain has its keys before anything has run, and two recipes with an equal prefix share it.
 */
export const stageKey = (parts: StageKeyParts): string => sha256(canonicalJson(parts));

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** JSON with sorted keys and no spaces: equal values give equal texts. Fields that are undefined do not count. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`);
    return `{${fields.join(',')}}`;
  }
  const text = JSON.stringify(value);
  if (text === undefined || (typeof value === 'number' && !Number.isFinite(value))) {
    throw new ModelpressError('internal', 'planner.not-json', `A ${typeof value} has no place in a stage run's key.`);
  }
  return text;
}
