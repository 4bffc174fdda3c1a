/** @file The top of a report: verdict, the few figures that matter, goals, warnings. */
import { findMetric, isPair, speedup, type Pair } from '../compare';
import { eightMeasures } from '../eight-measures';
import { formatChange, formatValue, metricName } from '../format';
import type { GoalResult, Report } from '../report';
import { barPair } from './bars';
import { html, type Markup } from './markup';
import { table } from './table';

/** Quality metrics that may stand at the top, best known first. */
export const QUALITY = ['accuracy', 'macroF1', 'mcc', 'pearson', 'perplexity', 'bleu', 'rougeL'];

export function verdict({ job, goals }: Report): Markup {
  if (job.state !== 'succeeded')
    return html`<p class="verdict bad">This job is ${job.state}: its figures are incomplete.</p>`;
  if (goals.length === 0) return html``;
  const missed = goals.filter((goal) => !goal.passed).length;
  return missed === 0
    ? html`<p class="verdict good">
        ${goals.length === 1 ? 'The goal is met.' : `All ${goals.length} goals are met.`}
      </p>`
    : html`<p class="verdict bad">
        ${missed} of ${goals.length} ${goals.length === 1 ? 'goal is' : 'goals are'} missed.
      </p>`;
}

interface Card {
  readonly title: string;
  readonly figure: string;
  /** What the figure says: `smaller`, `faster`. */
  readonly word?: string;
  readonly note: string;
  readonly tone: 'good' | 'bad' | 'plain';
  readonly bars?: Pair;
}

const pairOf = (report: Report, metric: string): Pair | undefined => {
  const found = findMetric(report.comparisons.filter(isPair), metric);
  return found !== undefined && isPair(found) ? found : undefined;
};

function smallerCard(pair: Pair, title: string): Card {
  const times = pair.candidate > 0 ? pair.baseline / pair.candidate : 0;
  const tone = times >= 1 ? 'good' : 'bad';
  const note = `${formatChange(pair.baseline, pair.candidate, pair.unit)} against the original`;
  return {
    title,
    figure: formatValue(times, 'times'),
    word: times >= 1 ? 'smaller' : 'the size',
    note,
    tone,
    bars: pair,
  };
}

function cards(report: Report): Card[] {
  const found: Card[] = [];
  const size = pairOf(report, 'bytes.model');
  if (size) found.push(smallerCard(size, 'Size on disk'));
  const fast = speedup(report.comparisons);
  if (fast) {
    const range = `${formatValue(fast.min, 'times')} to ${formatValue(fast.max, 'times')}`;
    const note =
      fast.points === 1
        ? 'p50 latency, one condition'
        : `p50 latency, geometric mean of ${fast.points} conditions (${range})`;
    const figure = formatValue(fast.mean, 'times');
    const word = fast.mean >= 1 ? 'faster' : 'the speed';
    found.push({ title: 'Speed', figure, word, note, tone: fast.mean >= 1 ? 'good' : 'bad' });
  }
  const quality = QUALITY.map((metric) => pairOf(report, metric)).find((pair) => pair !== undefined);
  if (quality) {
    const { metric, baseline, candidate, unit } = quality;
    const note = `${formatChange(baseline, candidate, unit)} against the original`;
    found.push({ title: metricName(metric), figure: formatValue(candidate, unit), note, tone: 'plain', bars: quality });
  }
  const parameters = pairOf(report, 'parameters');
  if (parameters && parameters.baseline !== parameters.candidate) found.push(smallerCard(parameters, 'Parameters'));
  const memory = pairOf(report, 'memory.peak');
  if (memory) found.push(smallerCard(memory, 'Peak memory'));
  return found;
}

export const headline = (report: Report): Markup =>
  html`<div class="cards">
    ${cards(report).map(
      ({ title, figure, word, note, tone, bars }) =>
        html`<section class="card">
          <h2>${title}</h2>
          <p class="figure ${tone}">${figure} ${word === undefined ? undefined : html`<small>${word}</small>`}</p>
          <p class="quiet">${note}</p>
          ${bars === undefined ? undefined : barPair(bars)}
        </section>`,
    )}
  </div>`;

const SIGNS = { true: html`<span class="sign good">✓ met</span>`, false: html`<span class="sign bad">✕ missed</span>` };

function goalRow({ label, unit, limit, actual, passed, margin, reason }: GoalResult): (Markup | string | null)[] {
  const room = margin === null ? null : `${margin < 0 ? '−' : '+'}${formatValue(Math.abs(margin), unit)}`;
  const why = reason === undefined ? undefined : html`<small class="quiet">${reason}</small>`;
  const measured = actual === null ? html`${why}` : html`${formatValue(actual, unit)} ${why}`;
  return [label, SIGNS[passed ? 'true' : 'false'], formatValue(limit, unit), measured, room];
}

export const goalTable = (goals: readonly GoalResult[]): Markup =>
  goals.length === 0
    ? html``
    : html`<section>
        <h2>Goals</h2>
        ${table(['Goal', 'Verdict', 'Limit', 'Measured', 'Margin'], goals.map(goalRow))}
      </section>`;

export function measureTable(report: Report): Markup {
  const rows = eightMeasures(report).map(({ measure, original, result, change, note }) => [
    measure,
    original,
    result,
    change,
    html`<span class="quiet">${note}</span>`,
  ]);
  if (rows.length === 0) return html``;
  return html`<section>
    <h2>Eight measures</h2>
    ${table(['Measure', 'Original', 'Result', 'Change', 'Conditions'], rows)}
  </section>`;
}

export const warningBox = (warnings: readonly string[]): Markup =>
  warnings.length === 0
    ? html``
    : html`<section class="warnings" aria-label="Warnings">
        <h2>${warnings.length === 1 ? 'Warning' : `${warnings.length} warnings`}</h2>
        <ul>
          ${warnings.map((warning) => html`<li>${warning}</li>`)}
        </ul>
      </section>`;
