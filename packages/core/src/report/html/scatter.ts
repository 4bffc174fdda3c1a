/** @file Size against quality as SVG: each variant of a sweep a point, the best ones joined. */
import { formatBytes, formatValue } from '../format';
import { html, type Markup } from './markup';
import { linearScale } from './scale';

export interface ScatterPoint {
  readonly name: string;
  readonly x: number;
  readonly y: number;
  /** No other point is at least as good in both and better in one. */
  readonly best: boolean;
}

export interface Scatter {
  readonly title: string;
  /** Bytes. */
  readonly xLabel: string;
  readonly yLabel: string;
  readonly yUnit: string;
  readonly points: readonly ScatterPoint[];
  /** The original model. */
  readonly original: { readonly x: number; readonly y: number } | undefined;
}

const WIDTH = 960;
const HEIGHT = 360;
const PLOT = { left: 74, right: WIDTH - 24, top: 30, bottom: HEIGHT - 44 };

export function scatterPlot({ title, xLabel, yLabel, yUnit, points, original }: Scatter): Markup {
  const all = original === undefined ? points : [...points, original];
  const [xs, ys] = [all.map((point) => point.x), all.map((point) => point.y)];
  const x = linearScale(0, Math.max(...xs), PLOT.left, PLOT.right, 8);
  const y = linearScale(Math.min(...ys), Math.max(...ys), PLOT.bottom, PLOT.top, 5);
  const front = points.filter((point) => point.best).sort((a, b) => a.x - b.x);
  const place = (point: { x: number; y: number }): string => `${x.at(point.x).toFixed(1)} ${y.at(point.y).toFixed(1)}`;
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">
    ${y.ticks.map(
      (tick) =>
        html`<line class="grid" x1="${PLOT.left}" x2="${PLOT.right}" y1="${y.at(tick)}" y2="${y.at(tick)}" />
          <text class="tick" x="${PLOT.left - 8}" y="${y.at(tick) + 4}" text-anchor="end"
            >${formatValue(tick, yUnit)}</text
          >`,
    )}
    ${x.ticks.map(
      (tick) =>
        html`<text class="tick" x="${x.at(tick)}" y="${PLOT.bottom + 18}" text-anchor="middle"
          >${formatBytes(tick)}</text
        >`,
    )}
    <line class="axis" x1="${PLOT.left}" x2="${PLOT.right}" y1="${PLOT.bottom}" y2="${PLOT.bottom}" />
    ${front.length > 1 ? html`<path class="line s0" d="M${front.map(place).join('L')}" />` : undefined}
    ${points.map(
      (point) =>
        html`<circle class="dot ${point.best ? 's0' : 'other'}" cx="${x.at(point.x)}" cy="${y.at(point.y)}" r="5">
          <title>${point.name}: ${formatBytes(point.x)}, ${formatValue(point.y, yUnit)}</title>
        </circle>`,
    )}
    ${
      original === undefined
        ? undefined
        : html`<path class="original" d="M${place(original)}m-6 0h12m-6 -6v12" />
            <text class="mark-label" x="${x.at(original.x) - 10}" y="${y.at(original.y) + 4}" text-anchor="end"
              >original</text
            >`
    }
    <text class="label" x="${(PLOT.left + PLOT.right) / 2}" y="${HEIGHT - 4}" text-anchor="middle">${xLabel}</text>
    <text class="label" x="${PLOT.left}" y="16" text-anchor="start">${yLabel}</text>
  </svg>`;
}
