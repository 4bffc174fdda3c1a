/**
 * @file Time and peak memory of one training step of a BERT classifier (vocabulary 30,522, all weights trained): on
 * onnxruntime-node with the share of its matrix-product rate that it reaches, on the native runtime in fp32 and in bf16
 * with the longest time that its event loop was held up and the longest that it worked itself, and on PyTorch in fp32 and under bf16 autocast.
 *
 *   node --require ./tools/register-typescript.cjs bench/training-step.ts [--pytorch PYTHON] [--only L2H128]
 *        [--dropout 0.1] [--rounds 3] [--steps N] [--threads 2] [--spin] [--recompute]
 *
 * PYTHON is an interpreter with torch and transformers. Every measurement has a process of its own; sides take turns.
 * Behind each time: how many times as fast as PyTorch under bf16 autocast, or where that is not run, as onnxruntime-node.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { median } from '../packages/core/src/bench/statistics';
import { bf16Obstacle, machineCapabilities } from '../packages/core/src/runtime';
import { CONFIGS, SIDES, measureStep } from './training-step/measure';
import type { Config, Side, StepFigures, StepRequest } from './training-step/measure';

const REGISTER = join(__dirname, '..', 'tools', 'register-typescript.cjs');

interface Options {
  readonly pytorch: string | undefined;
  readonly sides: readonly Side[];
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
function pytorch(
  python: string,
  { config, dropout, threads, steps, warmup }: Omit<StepRequest, 'side'>,
  bf16: boolean,
): number[] {
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
  const request: Omit<StepRequest, 'side'> = {
    config,
    dropout,
    threads: options.threads,
    spin: options.spin,
    recompute: options.recompute,
    steps: options.steps ?? config.steps,
    warmup: config.warmup,
  };
  const { pytorch: python } = options;
  const rounds = Array.from({ length: options.rounds }, () => ({
    sides: options.sides.map((side) => ours({ ...request, side })),
    fp32: python ? pytorch(python, request, false) : [],
    bf16: python ? pytorch(python, request, true) : [],
  }));
  const bySide = options.sides.map((side, i) => ({ side, steps: rounds.map(({ sides }) => sides[i]) }));
  const msOf = (steps: readonly StepFigures[]): number => median(steps.flatMap((step) => step.ms));
  const torch = { fp32: rounds.flatMap(({ fp32 }) => fp32), bf16: rounds.flatMap(({ bf16 }) => bf16) };
  const [ort] = bySide;
  const reference = torch.bf16.length > 0 ? median(torch.bf16) : msOf(ort.steps);
  const against = (ms: number): string => `${ms.toFixed(1)} (${(reference / ms).toFixed(2)}x)`;
  const gflops = ort.steps[0].flops / msOf(ort.steps) / 1e6;
  const ceiling = Math.max(...ort.steps.flatMap((step) => step.ceiling));
  const most = (figure: (step: StepFigures) => number): number[] =>
    bySide.map(({ steps }) => Math.max(...steps.map(figure)));
  return {
    model: config.name,
    batch: `${config.batch}x${config.sequence}`,
    dropout: String(dropout),
    ...Object.fromEntries(bySide.map(({ side, steps }) => [`${side} ms`, against(msOf(steps))])),
    'torch fp32 ms': torch.fp32.length > 0 ? against(median(torch.fp32)) : '-',
    'torch bf16 ms': torch.bf16.length > 0 ? against(reference) : '-',
    'ort GFLOP/s': `${gflops.toFixed(0)} of ${ceiling.toFixed(0)} (${((100 * gflops) / ceiling).toFixed(0)} %)`,
    'optimizer ms': bySide.map(({ steps }) => median(steps.flatMap((step) => step.optimizerMs)).toFixed(1)).join(' / '),
    'peak GB': most((step) => step.peakBytes / 1e9)
      .map((value) => value.toFixed(2))
      .join(' / '),
    'event loop held ms': most((step) => step.heldMs)
      .map((value) => value.toFixed(0))
      .join(' / '),
    'of that its own work ms': most((step) => step.busyMs ?? NaN)
      .map((value) => value.toFixed(0))
      .join(' / '),
    'first step s': bySide
      .map(({ steps }) => (median(steps.map((step) => step.firstStepMs)) / 1000).toFixed(2))
      .join(' / '),
  };
}

function printTable(rows: readonly Record<string, string>[]): void {
  const columns = Object.keys(rows[0]);
  console.log(`| ${columns.join(' | ')} |\n|${columns.map(() => '---|').join('')}`);
  for (const row of rows) console.log(`| ${columns.map((column) => row[column]).join(' | ')} |`);
}

/** What this machine can run, onnxruntime-node first. */
function sidesHere(): Side[] {
  const obstacle = bf16Obstacle();
  if (obstacle !== undefined) console.log(`Without bf16: ${obstacle}`);
  return (Object.keys(SIDES) as Side[]).filter((side) => obstacle === undefined || SIDES[side].precision === 'fp32');
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
    sides: sidesHere(),
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
