export const MIGRATIONS = [] as const;
