/** @file Line plot as SVG, with phase marks and the numbers behind it. */
import { formatNumber } from '../format';
import type { ReportSection } from '../measurement';
import { html, type Markup } from './markup';
import { linearScale, tightScale } from './scale';
import { table } from './table';

type Curve = Extract<ReportSection, { kind: 'curve' }>;
type Point = readonly [number, number];

const WIDTH = 960;
const HEIGHT = 300;
const PLOT = { left: 58, right: WIDTH - 14, top: 26, bottom: HEIGHT - 42 };
/** More points than this cannot be told apart in a plot of this width. */
const MAX_POINTS = 800;
const MAX_TABLE_ROWS = 40;

/** Keeps the lowest and highest point of each of some buckets, so that spikes survive. */
export function thin(points: readonly Point[], limit: number): readonly Point[] {
  if (points.length <= limit) return points;
  const size = Math.ceil((2 * points.length) / limit);
  const kept: Point[] = [];
  for (let start = 0; start < points.length; start += size) {
    const bucket = points.slice(start, start + size);
    const low = bucket.reduce((best, point) => (point[1] < best[1] ? point : best));
    const high = bucket.reduce((best, point) => (point[1] > best[1] ? point : best));
    kept.push(...(low === high ? [low] : [low, high].sort((a, b) => a[0] - b[0])));
  }
  return kept;
}

const extent = (values: readonly number[]): [number, number] => [
  values.reduce((a, b) => Math.min(a, b), Infinity),
  values.reduce((a, b) => Math.max(a, b), -Infinity),
];

const COLOURS = 6;
/** Class of the n-th line: the colours repeat in thinner lines. */
const lineClass = (n: number): string => `s${n % COLOURS}${n < COLOURS ? '' : ' again'}`;

export function curvePlot(section: Curve): Markup {
  const points = section.series.flatMap((series) => series.points);
  if (points.length === 0) return html`<p class="quiet">No points were recorded.</p>`;
  const [lowX, highX] = extent([...points.map(([x]) => x), ...section.marks.map((mark) => mark.x)]);
  const [lowY, highY] = extent(points.map(([, y]) => y));
  const x = tightScale(lowX, highX, PLOT.left, PLOT.right, 8);
  const y = linearScale(lowY, highY, PLOT.bottom, PLOT.top, 5);
  const at = ([px, py]: Point): string => `${x.at(px).toFixed(1)} ${y.at(py).toFixed(1)}`;
  const summary = section.series
    .map(
      ({ name, points }) =>
        `${name}: from ${formatNumber(points[0]?.[1] ?? 0)} to ${formatNumber(points.at(-1)?.[1] ?? 0)}`,
    )
    .join('; ');
  return html`
    <div class="legend" aria-hidden="true">
      ${section.series.map(({ name }, i) => html`<span><i class="swatch ${lineClass(i)}"></i>${name}</span>`)}
    </div>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${`${section.title}. ${summary}`}">
      ${y.ticks.map(
        (tick) =>
          html`<line class="grid" x1="${PLOT.left}" x2="${PLOT.right}" y1="${y.at(tick)}" y2="${y.at(tick)}" />
            <text class="tick" x="${PLOT.left - 8}" y="${y.at(tick) + 4}" text-anchor="end"
              >${formatNumber(tick)}</text
            >`,
      )}
      ${x.ticks.map(
        (tick) =>
          html`<text class="tick" x="${x.at(tick)}" y="${PLOT.bottom + 18}" text-anchor="middle"
            >${formatNumber(tick)}</text
          >`,
      )}
      <line class="axis" x1="${PLOT.left}" x2="${PLOT.right}" y1="${PLOT.bottom}" y2="${PLOT.bottom}" />
      ${section.marks.map((mark) => phaseMark(mark, x.at(mark.x)))}
      ${section.series.map(({ points }, i) => {
        const path = thin(points, MAX_POINTS).map(at).join('L');
        const few = points.length <= 24 ? points : [];
        return html`<path class="line ${lineClass(i)}" d="M${path}" />
          ${few.map(([px, py]) => html`<circle class="dot ${lineClass(i)}" cx="${x.at(px).toFixed(1)}" cy="${y.at(py).toFixed(1)}" r="3" />`)}`;
      })}
      <text class="label" x="${(PLOT.left + PLOT.right) / 2}" y="${HEIGHT - 4}" text-anchor="middle">${section.x}</text>
      <text class="label" x="${PLOT.left}" y="14" text-anchor="start">${section.y}</text>
    </svg>
    ${numbers(section)}
  `;
}

/** A vertical line where a phase ends; its label stands on the side with room. */
function phaseMark({ label }: { readonly label: string }, at: number): Markup {
  const leftSide = at > (PLOT.left + PLOT.right) / 2;
  const text = html`<text
    class="mark-label"
    x="${at + (leftSide ? -6 : 6)}"
    y="${PLOT.top + 4}"
    text-anchor="${leftSide ? 'end' : 'start'}"
    >${label}</text
  >`;
  return html`<line class="mark" x1="${at}" x2="${at}" y1="${PLOT.top - 8}" y2="${PLOT.bottom}" />${text}`;
}

function numbers({ x, series }: Curve): Markup {
  const rows = series.flatMap(({ name, points }) =>
    thin(points, MAX_TABLE_ROWS).map(([px, py]) => [name, formatNumber(px), formatNumber(py)]),
  );
  return html`<details class="numbers">
    <summary>Numbers</summary>
    ${table(['Series', x, 'Value'], rows)}
  </details>`;
}
