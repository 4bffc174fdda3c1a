/** The row without some of its fields. */
export function omit<T extends object, K extends keyof T>(row: T, ...fields: readonly K[]): Omit<T, K> {
  const copy: Partial<T> = { ...row };
  for (const field of fields) delete copy[field];
  return copy as Omit<T, K>;
}

/** Rows by the key that each has, in their order. */
export function groupBy<T, K>(rows: readonly T[], keyOf: (row: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const row of rows) {
    const group = groups.get(keyOf(row));
    if (group === undefined) groups.set(keyOf(row), [row]);
    else group.push(row);
  }
  return groups;
}
