/** @file Heat map as a table whose cells are tinted: readable by eye, by screen reader and on paper. */
import { formatNumber, formatValue } from '../format';
import type { ReportSection } from '../measurement';
import { html, type Markup } from './markup';

type Heatmap = Extract<ReportSection, { kind: 'heatmap' }>;

const shortValue = (value: number, unit: string): string =>
  unit === 'ratio' ? formatNumber(Math.round(1000 * value) / 10) : formatNumber(value);

export function heatmap(section: Heatmap): Markup {
  const { rows, columns, values, unit } = section;
  const known = values.flat().filter((value) => value !== null);
  const low = Math.min(...known, unit === 'ratio' ? 0 : Infinity);
  const high = Math.max(...known, unit === 'ratio' ? 1 : -Infinity);
  const heat = (value: number): number => (high > low ? (value - low) / (high - low) : 0);
  const cell = (value: number | null): Markup => {
    if (value === null) return html`<td class="none">–</td>`;
    const share = heat(value);
    return html`<td
      class="${share > 0.7 ? 'hot' : ''}"
      style="--heat:${Math.round(100 * share)}%"
      title="${formatValue(value, unit)}"
    >
      ${shortValue(value, unit)}
    </td>`;
  };
  return html`
    <div class="scroll" tabindex="0" role="group" aria-label="Heat map: ${section.title}">
      <table class="heat">
        <thead>
          <tr>
            <td></td>
            ${columns.map((name) => html`<th scope="col">${name}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            (name, row) =>
              html`<tr>
                <th scope="row">${name}</th>
                ${(values[row] ?? []).map(cell)}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    <p class="quiet">${unit === 'ratio' ? 'Percent' : unit}; darker is more.</p>
  `;
}
