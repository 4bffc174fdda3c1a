/** @file A report for terminals. */
import { isPair, speedup } from './compare';
import { eightMeasures } from './eight-measures';
import { formatChange, formatContext, formatSeconds, formatValue, metricName } from './format';
import type { Report } from './report';

/** Columns as wide as their longest cell; the first stands left, the others right. */
export function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

function figureLines({ comparisons }: Report): string[] {
  if (comparisons.length === 0) return ['Nothing was measured.'];
  const rows = comparisons.map(({ metric, unit, context, baseline, candidate }) => [
    [metricName(metric), formatContext(context)].filter((part) => part !== '').join(', '),
    baseline === null ? '-' : formatValue(baseline, unit),
    formatValue(candidate, unit),
    baseline === null ? '' : formatChange(baseline, candidate, unit),
  ]);
  return alignColumns([['', 'original', 'result', 'change'], ...rows]);
}

function measureLines(report: Report): string[] {
  const measures = eightMeasures(report);
  if (measures.length === 0) return [];
  const rows = measures.map(({ measure, original, result, change }) => [
    measure,
    original ?? '-',
    result ?? '-',
    change ?? '',
  ]);
  const lines = alignColumns([['Eight measures', 'original', 'result', 'change'], ...rows]);
  const width = Math.max(...lines.map((line) => line.length));
  const notes = ['', ...measures.map(({ note }) => note)];
  return ['', ...lines.map((line, i) => `${line.padEnd(width)}  ${notes[i]}`.trimEnd())];
}

function headlineLine({ comparisons }: Report): string[] {
  const size = comparisons.filter(isPair).find(({ metric }) => metric === 'bytes.model');
  const fast = speedup(comparisons);
  const parts = [
    size && size.candidate > 0 ? `${formatValue(size.baseline / size.candidate, 'times')} smaller` : '',
    fast ? `${formatValue(fast.mean, 'times')} ${fast.mean >= 1 ? 'faster' : 'the speed'}` : '',
  ].filter((part) => part !== '');
  return parts.length === 0 ? [] : [parts.join(', ')];
}

function goalLines({ goals }: Report): string[] {
  const rows = goals.map(({ label, unit, actual, passed, margin, reason }) => {
    const figure =
      actual === null || margin === null ? '' : `${formatValue(actual, unit)} (margin ${formatValue(margin, unit)})`;
    const said = [figure, reason ?? ''].filter((part) => part !== '').join('. ');
    return `${passed ? 'met   ' : 'missed'}  ${label}: ${said}`;
  });
  return rows.length === 0 ? [] : ['', 'Goals', ...rows];
}

function machineLine({ stages }: Report): string[] {
  const environment = stages.flatMap((stage) => stage.measurements).find((one) => one.environment)?.environment;
  if (environment === undefined) return [];
  const { cpu, cores, runtime, device, threads } = environment;
  return [
    '',
    `Measured on ${cpu}, ${cores} cores, ${runtime} on ${device}, ${threads} ${threads === 1 ? 'thread' : 'threads'}.`,
  ];
}

/** A report as plain text for a terminal: figures, goals, stages, warnings. */
export function renderReportText(report: Report): string {
  const { job, stages, warnings } = report;
  const stageRows = stages.map(({ id, state, seconds, reused }) => [
    `  ${id}`,
    state,
    seconds === undefined ? '' : formatSeconds(seconds),
    reused ? 'reused' : '',
  ]);
  const failures = stages.flatMap(({ id, error }) => (error === undefined ? [] : [`${id} failed: ${error}`]));
  return [
    `${job.name} (${job.state})`,
    ...headlineLine(report),
    '',
    ...figureLines(report),
    ...goalLines(report),
    ...measureLines(report),
    '',
    'Stages',
    ...alignColumns(stageRows),
    ...failures,
    ...machineLine(report),
    ...(warnings.length === 0 ? [] : ['', 'Warnings', ...warnings.map((warning) => `  ${warning}`)]),
    '',
  ].join('\n');
}
