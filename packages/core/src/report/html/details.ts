/** @file The body of a report: latency, all figures, stages, machine, recipe. */
import { stringify } from 'yaml';
import { isPair } from '../compare';
import { formatBytes, formatChange, formatContext, formatSeconds, formatValue, metricName } from '../format';
import type { Environment, Measurement } from '../measurement';
import type { Report, ReportStage } from '../report';
import { latencyBars } from './bars';
import { html, type Markup } from './markup';
import { sectionBlock } from './section';
import { table } from './table';

export function latencySection({ comparisons }: Report): Markup {
  const pairs = comparisons.filter(isPair).filter(({ metric }) => metric === 'latency.p50');
  if (pairs.length === 0) return html``;
  return html`<section>
    <h2>Latency, p50</h2>
    <p class="legend">
      <span><i class="swatch was"></i>original</span><span><i class="swatch now"></i>result</span>
    </p>
    ${latencyBars(pairs)}
  </section>`;
}

export function figureTable({ comparisons }: Report): Markup {
  if (comparisons.length === 0) return html``;
  const rows = comparisons.map(({ metric, unit, context, baseline, candidate }) => [
    metricName(metric),
    formatContext(context),
    baseline === null ? null : formatValue(baseline, unit),
    formatValue(candidate, unit),
    baseline === null ? null : formatChange(baseline, candidate, unit),
  ]);
  return html`<section>
    <h2>Every figure</h2>
    ${table(['Metric', 'Conditions', 'Original', 'Result', 'Change'], rows)}
  </section>`;
}

const measurementRow = ({ metric, subject, context, value, unit, interval }: Measurement): (string | null)[] => [
  metricName(metric),
  subject,
  formatContext(context),
  formatValue(value, unit),
  interval === undefined ? null : interval.map((end) => formatValue(end, unit)).join(' to '),
];

function stageBlock(stage: ReportStage, scope: string): Markup {
  const facts = [
    stage.from === undefined ? 'reads the original model' : `reads the model of ${stage.from}`,
    stage.seconds === undefined ? '' : formatSeconds(stage.seconds),
    stage.attempts > 1 ? `${stage.attempts} attempts` : '',
    stage.reused ? 'result of an equal earlier run' : '',
  ].filter((fact) => fact !== '');
  const hasConfig = Object.keys(stage.config).length > 0;
  return html`<section class="stage" id="${`${scope}stage-${stage.id}`}">
    <h3>
      ${stage.id} <small>${stage.type === stage.id ? '' : stage.type}</small>
      <span class="state ${stage.state}">${stage.state}</span>
    </h3>
    <p class="quiet">${facts.join(' · ')}</p>
    ${stage.error === undefined ? undefined : html`<p class="verdict bad">${stage.error}</p>`}
    ${stage.sections.map(sectionBlock)}
    ${
      stage.measurements.length === 0
        ? undefined
        : html`<details>
            <summary>
              ${stage.measurements.length === 1 ? '1 measurement' : `${stage.measurements.length} measurements`}
            </summary>
            ${table(['Metric', 'Model', 'Conditions', 'Value', '95 % interval'], stage.measurements.map(measurementRow))}
          </details>`
    }
    ${
      hasConfig
        ? html`<details>
            <summary>Settings</summary>
            <pre>${stringify(stage.config)}</pre>
          </details>`
        : undefined
    }
  </section>`;
}

/** `scope` keeps the anchors of several reports on one page apart. */
export const stageList = ({ stages }: Report, scope = ''): Markup =>
  html`<section>
    <h2>Stages</h2>
    ${stages.map((stage) => stageBlock(stage, scope))}
  </section>`;

/** The stages as a line of links, so that the recipe is seen at a glance. */
export const pipeline = ({ model, stages, result }: Report): Markup =>
  html`<ol class="pipeline" aria-label="Stages">
    ${model === undefined ? undefined : html`<li>${model.name}</li>`}
    ${stages.map(({ id, state }) => html`<li class="${state}${id === result ? ' result' : ''}"><a href="${`#stage-${id}`}">${id}</a></li>`)}
  </ol>`;

function environmentBlock(environment: Environment): Markup {
  const { cpu, cores, cpuFlags, memoryBytes, os, node, runtime, device, threads } = environment;
  const facts: readonly (readonly [string, string])[] = [
    ['Processor', `${cpu}, ${cores} cores`],
    ['Instruction sets', cpuFlags.length === 0 ? 'none recorded' : cpuFlags.join(' ')],
    ['Memory', formatBytes(memoryBytes)],
    ['Runtime', `${runtime} on ${device}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`],
    ['System', `${os}, Node ${node}`],
  ];
  return html`<dl>
    ${facts.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

/** The machines of all measurements, each once. */
export function environmentSection({ stages }: Report): Markup {
  const all = stages.flatMap((stage) => stage.measurements.flatMap(({ environment }) => environment ?? []));
  const distinct = [...new Map(all.map((environment) => [JSON.stringify(environment), environment])).values()];
  if (distinct.length === 0) return html``;
  const many = distinct.length === 1 ? '' : ` (${distinct.length} environments)`;
  return html`<section>
    <h2>Measured on${many}</h2>
    ${distinct.map(environmentBlock)}
  </section>`;
}

export function inputSection({ model, datasets, recipe }: Report): Markup {
  const rows = datasets.map(({ role, name, rows }) => [
    role,
    name,
    Object.entries(rows)
      .map(([split, count]) => `${split} ${count}`)
      .join(', '),
  ]);
  return html`<section>
    <h2>Inputs</h2>
    ${model === undefined ? undefined : html`<p>${model.name}: ${model.architecture}, ${formatValue(model.parameters, 'count')} parameters.</p>`}
    ${rows.length === 0 ? undefined : table(['Role', 'Data set', 'Rows'], rows)}
    <details>
      <summary>Recipe</summary>
      <pre>${stringify(recipe)}</pre>
    </details>
  </section>`;
}
