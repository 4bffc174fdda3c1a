/** PostgreSQL's code for a row that breaks a unique index. */
const UNIQUE_VIOLATION = '23505';
/** ... that others still refer to. */
const FOREIGN_KEY_VIOLATION = '23503';
const RESTRICT_VIOLATION = '23001';

const codeOf = (error: unknown): string | undefined =>
  typeof error === 'object' && error !== null && 'driverError' in error
    ? (error.driverError as { code?: string }).code
    : undefined;

export const isDuplicate = (error: unknown): boolean => codeOf(error) === UNIQUE_VIOLATION;

export const isReferred = (error: unknown): boolean => {
  const code = codeOf(error);
  return code === FOREIGN_KEY_VIOLATION || code === RESTRICT_VIOLATION;
};
