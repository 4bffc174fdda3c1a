/** @file Figures for people. */

const trim = (text: string): string => (text.includes('.') ? text.replace(/\.?0+$/, '') : text);

/** Three significant digits, never in exponent form for figures people meet: 0.0123, 4.56, 78.9, 1230. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e15) return value.toExponential(2);
  const decimals = Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(size))));
  return trim(value.toFixed(decimals));
}

const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P'] as const;

/** SI prefixes, powers of 1000: 438 M, 22.5 G. */
function formatSi(value: number, unit: string): string {
  let scaled = value;
  let step = 0;
  while (Math.abs(scaled) >= 999.5 && step < PREFIXES.length - 1) {
    scaled /= 1000;
    step++;
  }
  return `${formatNumber(scaled)} ${PREFIXES[step]}${unit}`.trim();
}

/** Bytes in SI units: 1 MB is 1,000,000 bytes. */
export const formatBytes = (bytes: number): string => formatSi(bytes, 'B');

export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${formatNumber(seconds)} s`;
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${rest} s`;
}

const percent = (value: number): string => (100 * value).toFixed(2);

/** A figure with its unit as measurements name it; `points` are differences of ratios, `times` factors. */
export function formatValue(value: number, unit: string): string {
  switch (unit) {
    case 'ratio':
      return `${percent(value)} %`;
    case 'points':
      return `${percent(value)} points`;
    case 'times':
      return `${value.toFixed(2)}×`;
    case 'bytes':
      return formatBytes(value);
    case 'count':
      return formatSi(value, '');
    case 'flops':
      return formatSi(value, 'FLOPs');
    default:
      return `${formatNumber(value)} ${unit}`.trim();
  }
}

/** A figure's change, with sign: points for ratios, otherwise a percentage of the original. */
export function formatChange(baseline: number, candidate: number, unit: string): string {
  const sign = candidate > baseline ? '+' : candidate < baseline ? '−' : '±';
  const change = Math.abs(candidate - baseline);
  if (unit === 'ratio') return `${sign}${percent(change)} points`;
  if (baseline === 0) return '';
  return `${sign}${((100 * change) / Math.abs(baseline)).toFixed(1)} %`;
}

const METRIC_NAMES: Readonly<Record<string, string>> = {
  accuracy: 'Accuracy',
  macroF1: 'Macro F1',
  microF1: 'Micro F1',
  mcc: 'Matthews correlation',
  ece: 'Calibration error',
  loss: 'Loss',
  perplexity: 'Perplexity',
  'bytes.model': 'Size on disk',
  'bytes.bundle': 'Size with tokenizer',
  'bytes.gzip': 'Size compressed',
  'memory.peak': 'Peak memory',
  parameters: 'Parameters',
  flops: 'FLOPs of one pass',
  sparsity: 'Sparsity',
  throughput: 'Throughput',
  energy: 'Energy of 1,000 texts',
  carbon: 'Carbon of 1,000 texts',
  robustness: 'Accuracy kept on changed texts',
  'robustness.typos': 'Accuracy with typos',
  'robustness.lower-case': 'Accuracy in lower case',
  'robustness.upper-case': 'Accuracy in upper case',
  'robustness.no-punctuation': 'Accuracy without punctuation',
  'robustness.word-drop': 'Accuracy with words dropped',
  'robustness.word-swap': 'Accuracy with words swapped',
  'fidelity.labels': 'Label loyalty',
  'fidelity.probabilities': 'Probability loyalty',
  'latency.p50': 'Latency p50',
  'latency.p95': 'Latency p95',
  'latency.p99': 'Latency p99',
  'latency.load': 'Time to load',
  'latency.endToEnd.p50': 'Text to result p50',
  'latency.endToEnd.p95': 'Text to result p95',
  'latency.endToEnd.p99': 'Text to result p99',
  'throughput.endToEnd': 'Texts a second, text to result',
};

/** A metric's name for people; unknown ones keep theirs. */
export const metricName = (metric: string): string =>
  Object.hasOwn(METRIC_NAMES, metric) ? METRIC_NAMES[metric] : metric;

/** Conditions in the order in which people name them; a database may keep them in another. */
const CONTEXT_ORDER = ['split', 'batch', 'sequence', 'threads', 'rows'];

const placeOf = (key: string): number => {
  const place = CONTEXT_ORDER.indexOf(key);
  return place === -1 ? CONTEXT_ORDER.length : place;
};

/** Conditions of a measurement in one line: `batch 8, sequence 128`. */
export const formatContext = (context: Readonly<Record<string, string | number | boolean>>): string =>
  Object.entries(context)
    .sort(([a], [b]) => placeOf(a) - placeOf(b))
    .map(([key, value]) => (key === 'split' ? `${value} split` : `${key} ${value}`))
    .join(', ');
