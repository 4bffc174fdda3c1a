/**
 * @file Time and peak memory of one training step of a BERT classifier (vocabulary 30,522, all weights trained), the
 * share of ONNX Runtime's matrix-product rate that it reaches, and PyTorch beside it.
 *
 *   node --require ./tools/register-typescript.cjs bench/training-step.ts [--pytorch PYTHON] [--only L2H128]
 *        [--dropout 0.1] [--rounds 3] [--steps N] [--threads 2] [--spin] [--recompute]
 *
 * PYTHON is an interpreter with torch and transformers. Every measurement has a process of its own; sides take turns.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { median } from '../packages/core/src/bench/statistics';
import { machineCapabilities } from '../packages/core/src/runtime';
import { CONFIGS, measureStep } from './training-step/measure';
import type { Config, StepFigures, StepRequest } from './training-step/measure';

const REGISTER = join(__dirname, '..', 'tools', 'register-typescript.cjs');

interface Options {
  readonly pytorch: string | undefined;
  readonly rounds: number;
  readonly steps: number | undefined;
  readonly threads: number;
  readonly spin: boolean;
  readonly recompute: boolean;
}

/** Figures of our side, measured in a fresh process. */
function ours(request: StepRequest): StepFigures {
  const args = ['--require', REGISTER, __filename, '--child', JSON.stringify(request)];
  return JSON.parse(lastLine(execFileSync(process.execPath, args, { encoding: 'utf8' }))) as StepFigures;
}

/** Milliseconds of PyTorch's steps, measured in a fresh process. */
function pytorch(python: string, { config, dropout, threads, steps, warmup }: StepRequest, bf16: boolean): number[] {
  const { layers, hidden, heads, batch, sequence } = config;
  const values = { layers, hidden, heads, batch, sequence, dropout, threads, steps, warmup };
  const args = Object.entries(values).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const script = join(__dirname, 'pytorch_step.py');
  const output = execFileSync(python, [script, ...args, ...(bf16 ? ['--bf16'] : [])], { encoding: 'utf8' });
  return (JSON.parse(lastLine(output)) as { ms: number[] }).ms;
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1)!;

/** All rounds of one configuration: a row of the table. */
function compare(config: Config, dropout: number, options: Options): Record<string, string> {
  const request: StepRequest = {
    config,
    dropout,
    threads: options.threads,
    spin: options.spin,
    recompute: options.recompute,
    steps: options.steps ?? config.steps,
    warmup: config.warmup,
  };
  const rounds = Array.from({ length: options.rounds }, () => ({
    step: ours(request),
    fp32: options.pytorch ? pytorch(options.pytorch, request, false) : [],
    bf16: options.pytorch ? pytorch(options.pytorch, request, true) : [],
  }));
  const steps = rounds.map(({ step }) => step);
  const ms = median(steps.flatMap((step) => step.ms));
  const gflops = steps[0].flops / ms / 1e6;
  const ceiling = Math.max(...steps.flatMap((step) => step.ceiling));
  const optimizer = median(steps.flatMap((step) => step.optimizerMs));
  const against = (times: number[]): string =>
    times.length === 0 ? '-' : `${median(times).toFixed(1)} (${(median(times) / ms).toFixed(2)}x)`;
  return {
    model: config.name,
    batch: `${config.batch}x${config.sequence}`,
    dropout: String(dropout),
    'ms/step': ms.toFixed(1),
    'per round': steps.map((step) => median(step.ms).toFixed(1)).join(' '),
    'GFLOP/s': gflops.toFixed(0),
    ceiling: ceiling.toFixed(0),
    share: `${((100 * gflops) / ceiling).toFixed(0)} %`,
    optimizer: `${((100 * optimizer) / ms).toFixed(1)} %`,
    'peak GB': Math.max(...steps.map((step) => step.peakBytes / 1e9)).toFixed(2),
    'first step s': (median(steps.map((step) => step.firstStepMs)) / 1000).toFixed(2),
    'torch fp32': against(rounds.flatMap(({ fp32 }) => fp32)),
    'torch bf16': against(rounds.flatMap(({ bf16 }) => bf16)),
  };
}

function printTable(rows: readonly Record<string, string>[]): void {
  const columns = Object.keys(rows[0]);
  console.log(`| ${columns.join(' | ')} |\n|${columns.map(() => '---|').join('')}`);
  for (const row of rows) console.log(`| ${columns.map((column) => row[column]).join(' | ')} |`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      child: { type: 'string' },
      pytorch: { type: 'string' },
      only: { type: 'string' },
      dropout: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      steps: { type: 'string' },
      threads: { type: 'string', default: '2' },
      spin: { type: 'boolean', default: false },
      recompute: { type: 'boolean', default: false },
    },
  });
  if (values.child !== undefined) {
    console.log(JSON.stringify(await measureStep(JSON.parse(values.child) as StepRequest)));
    return;
  }
  const options: Options = {
    pytorch: values.pytorch,
    rounds: Number(values.rounds),
    steps: values.steps === undefined ? undefined : Number(values.steps),
    threads: Number(values.threads),
    spin: values.spin,
    recompute: values.recompute,
  };
  const { cpu, cores } = machineCapabilities();
  const onOff = (on: boolean): string => (on ? 'on' : 'off');
  console.log(
    `${cpu}, ${cores} cores, ${options.threads} threads, spinning ${onOff(options.spin)}, recomputation ${onOff(options.recompute)}\n`,
  );
  const dropouts = values.dropout === undefined ? [0, 0.1] : [Number(values.dropout)];
  const configs = CONFIGS.filter(({ name }) => values.only === undefined || name === values.only);
  printTable(configs.flatMap((config) => dropouts.map((dropout) => compare(config, dropout, options))));
}

void main();
