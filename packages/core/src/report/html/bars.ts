/** @file Bars: the original over the result, one pair per line. */
import type { Pair } from '../compare';
import { formatContext, formatValue, metricName } from '../format';
import { html, type Markup } from './markup';

/** Two thin bars on the scale of `longest`. */
export function barPair({ baseline, candidate, unit }: Pair, longest = Math.max(baseline, candidate)): Markup {
  const bar = (value: number, kind: 'was' | 'now'): Markup => {
    const share = longest > 0 ? Math.max(0, value / longest) : 0;
    return html`<div class="bar">
      <span class="${kind}" style="--share:${share.toFixed(4)}"></span><b>${formatValue(value, unit)}</b>
    </div>`;
  };
  return html`<div class="pair">${bar(baseline, 'was')}${bar(candidate, 'now')}</div>`;
}

/** A line per condition: its name, both bars on the scale of the longest of all, and how many times faster. */
export function latencyBars(pairs: readonly Pair[]): Markup {
  const longest = Math.max(...pairs.flatMap(({ baseline, candidate }) => [baseline, candidate]));
  const name = metricName(pairs[0]?.metric ?? '');
  return html`<div class="bars" role="group" aria-label="${name} of original and result">
    ${pairs.map((pair) => {
      const times = pair.candidate > 0 ? pair.baseline / pair.candidate : 0;
      return html`<div class="bars-row">
        <div class="bars-name">${formatContext(pair.context)}</div>
        ${barPair(pair, longest)}
        <div class="bars-times ${times >= 1 ? 'good' : 'bad'}">${formatValue(times, 'times')}</div>
      </div>`;
    })}
  </div>`;
}
