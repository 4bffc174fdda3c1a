import { Initial1763800000000 } from './1763800000000-initial';
import { Teachers1795398956362 } from './1795398956362-teachers';

/** Oldest first. A migration that has been released is never changed: add another (`node tools/new-migration.mjs`). */
export const MIGRATIONS = [Initial1763800000000, Teachers1795398956362] as const;
