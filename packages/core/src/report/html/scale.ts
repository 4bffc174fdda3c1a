/** @file Axes: nice ticks and linear scales. */

export interface Scale {
  readonly ticks: readonly number[];
  /** Position of a value in pixels. */
  at(value: number): number;
}

/** Round tick values (1, 2 or 5 times a power of ten) that cover [low, high], about `count` of them. */
export function niceTicks(low: number, high: number, count: number): number[] {
  const size = Math.max(Math.abs(low), Math.abs(high), 1e-12);
  // Values that differ by rounding only are a flat line: give them room around.
  const span = high - low > 1e-9 * size ? high - low : size;
  const raw = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5].find((factor) => factor * power >= raw) ?? 10) * power;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  // Through a decimal string: 3 * 0.1 is to read 0.3.
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** A scale whose ends are ticks, from pixel `from` to pixel `to`. */
export function linearScale(low: number, high: number, from: number, to: number, count: number): Scale {
  const ticks = niceTicks(low, high, count);
  const first = ticks[0] ?? 0;
  const last = ticks.at(-1) ?? 1;
  return { ticks, at: (value) => from + ((value - first) / (last - first)) * (to - from) };
}

/** A scale that ends exactly at low and high: for x axes, where the curve should fill the width. */
export function tightScale(low: number, high: number, from: number, to: number, count: number): Scale {
  const span = high - low || 1;
  const inside = niceTicks(low, high, count).filter((tick) => tick >= low && tick <= low + span);
  return { ticks: inside, at: (value) => from + ((value - low) / span) * (to - from) };
}
