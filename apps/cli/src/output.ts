/** @file What the command prints. */

/** Prints a list as a table, or as JSON for programs. */
export function printList<T>(
  items: readonly T[],
  json: boolean,
  columns: Readonly<Record<string, (item: T) => string>>,
): void {
  if (json) return printJson(items);
  if (items.length === 0) return console.log('None.');
  const rows = [Object.keys(columns), ...items.map((item) => Object.values(columns).map((cell) => cell(item)))];
  for (const line of alignLeft(rows)) console.log(line);
  return undefined;
}

export const printJson = (value: unknown): void => console.log(JSON.stringify(value, null, 2));

/** Every column stands left: for names and states rather than figures. */
function alignLeft(rows: readonly (readonly string[])[]): string[] {
  const width = (column: number): number => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(width(column)))
      .join('  ')
      .trimEnd(),
  );
}

/** A notice for people; standard output stays free for results. */
export const tell = (message: string): void => void process.stderr.write(`${message}\n`);
