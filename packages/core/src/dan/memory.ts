/** @file Whether a table can be trained in the memory of this machine. */
import { totalmem } from 'node:os';
import { limitExceeded } from '../errors';

/** Weight and two moments, float32. */
export const BYTES_PER_CELL = 12;
/** Share of the machine's memory that a table may take; the rest is for texts, teacher and system. */
const SHARE = 0.7;

/** Bytes that a table may take here, containers' limits included. */
export function tableMemory(): number {
  const limit = process.constrainedMemory();
  return SHARE * (limit > 0 ? Math.min(limit, totalmem()) : totalmem());
}

/**
 * Refuses a table that does not fit, saying what would.
 * @throws limit `distill.table-memory`
 */
export function requireTableMemory(rows: number, dimension: number, available = tableMemory()): void {
  const needed = rows * dimension * BYTES_PER_CELL;
  if (needed <= available) return;
  const fits = Math.floor(available / (rows * BYTES_PER_CELL));
  const gib = (bytes: number): string => (bytes / 2 ** 30).toFixed(1);
  const advice =
    fits >= 8 ? `A dimension of ${fits - (fits % 8)} fits` : 'Not even a dimension of 8 fits: use fewer n-grams';
  throw limitExceeded(
    'distill.table-memory',
    `Training ${rows} n-grams x ${dimension} needs ${gib(needed)} GiB, of which ${gib(available)} can be used here. ${advice}.`,
    { field: 'student.dimension', neededBytes: needed, availableBytes: available },
  );
}
