import { Initial1763800000000 } from './1763800000000-initial';

/** Oldest first. A migration that has been released is never changed: add another (`node tools/new-migration.mjs`). */
export const MIGRATIONS = [Initial1763800000000] as const;
