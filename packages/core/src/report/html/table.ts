import { formatNumber } from '../format';
import { html, type Markup } from './markup';

type Cell = Markup | string | number | null;
type Row = readonly Cell[];

/** A column of figures stands to the right: all its texts start like a number. */
const isFigure = (cell: Cell): boolean =>
  cell === null || typeof cell === 'number' || (typeof cell === 'string' && /^[-−+±]?\d|^$/.test(cell));

/** Decimals that the numbers of a column share: as many as the longest needs. */
const decimalsOf = (rows: readonly Row[], column: number): number =>
  Math.max(
    0,
    ...rows.map((row) => {
      const cell = row[column];
      return typeof cell === 'number' ? (formatNumber(cell).split('.')[1]?.length ?? 0) : 0;
    }),
  );

/** A table; null cells show a dash. Scrolls sideways when the page is narrow. */
export function table(columns: readonly string[], rows: readonly Row[]): Markup {
  const layout = columns.map((_, column) => ({
    side: column > 0 && rows.every((row) => isFigure(row[column] ?? null)) ? 'figure' : '',
    decimals: decimalsOf(rows, column),
  }));
  const show = (cell: Cell, column: number): Markup | string => {
    if (cell === null) return '–';
    if (typeof cell !== 'number') return cell;
    const text = formatNumber(cell);
    return text.includes('e') ? text : cell.toFixed(layout[column]?.decimals ?? 0);
  };
  const rowOf = (row: Row): Markup =>
    html`<tr>
      ${row.map((cell, column) =>
        column === 0
          ? html`<th scope="row">${show(cell, column)}</th>`
          : html`<td class="${layout[column]?.side}">${show(cell, column)}</td>`,
      )}
    </tr>`;
  return html`<div class="scroll" tabindex="0" role="group" aria-label="Table: ${columns.join(', ')}">
    <table>
      <thead>
        <tr>
          ${columns.map((name, column) => html`<th scope="col" class="${layout[column]?.side}">${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(rowOf)}
      </tbody>
    </table>
  </div>`;
}
