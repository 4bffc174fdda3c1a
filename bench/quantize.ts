/**
 * @file Accuracy, bytes and latency of every way to quantize a fine-tuned classifier, as a Markdown table. Accuracy on
 * the test split; latencies of all models in turns in one process, so that a busy machine slows all alike.
 *
 *   npm run build && node --require ./tools/register-typescript.cjs bench/quantize.ts --bundle DIR --data DIR
 *       [--pytorch PYTHON] [--keep DIR] [--only NAME,...] [--seed 1] [--threads 1] [--seconds 20] [--epochs 1]
 *
 * --bundle is the fine-tuned model, --data an imported data set with train, dev and test. --pytorch is a Python with onnx
 * and onnxruntime: adds what its quantize_dynamic makes of the same file. --keep keeps the models there and uses those
 * that are there. QAT trains --epochs passes.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readEnvironment } from '../packages/core/src/bench/environment';
import { syntheticInputs } from '../packages/core/src/bench/inputs';
import { OtherLoad } from '../packages/core/src/bench/other-load';
import { median, speedup } from '../packages/core/src/bench/statistics';
import { takeTurns } from '../packages/core/src/bench/take-turns';
import { bundleBytes, MODEL_FILE, readManifest } from '../packages/core/src/bundle/bundle';
import { predict, scoreClassification } from '../packages/core/src/evaluate';
import { logSumExp } from '../packages/core/src/evaluate/perplexity';
import { ortRuntime } from '../packages/core/src/runtime';
import { STAGES } from '../packages/core/src/stages';
import type { StageContext } from '../packages/core/src/stages';

const SHAPES = [
  { batch: 1, sequence: 32 },
  { batch: 8, sequence: 128 },
];
const PYTHON_SIDE = `
import sys
from onnxruntime.quantization import quantize_dynamic, QuantType
quantize_dynamic(sys.argv[1], sys.argv[2], per_channel=True, weight_type=QuantType.QInt8)
`;

/** Stage configs by name. */
function variants(epochs: number): Readonly<Record<string, object>> {
  const blocks = (bits: number, rounding: string, symmetric = true): object => ({
    mode: 'weight-only',
    weights: { bits, rounding, symmetric },
  });
  return {
    'int8-dynamic': {},
    'int8-static-min-max': { mode: 'static' },
    'int8-static-percentile': { mode: 'static', activations: { method: 'percentile' } },
    'int8-static-entropy': { mode: 'static', activations: { method: 'entropy' } },
    'int8-static-mse': { mode: 'static', activations: { method: 'mse' } },
    'int8-static-qlinear': { mode: 'static', activations: { method: 'mse', outputs: 'int8' } },
    'int8-static-qat': { mode: 'static', activations: { method: 'mse' }, train: { epochs } },
    '8bit-nearest': blocks(8, 'nearest'),
    '8bit-gptq': blocks(8, 'gptq'),
    '6bit-nearest': blocks(6, 'nearest'),
    '6bit-gptq': blocks(6, 'gptq'),
    '4bit-nearest': blocks(4, 'nearest'),
    '4bit-nearest-asymmetric': blocks(4, 'nearest', false),
    '4bit-gptq': blocks(4, 'gptq'),
    '4bit-gptq-128': { mode: 'weight-only', weights: { bits: 4, block: 128, rounding: 'gptq' } },
    '4bit-nearest-128': { mode: 'weight-only', weights: { bits: 4, block: 128 } },
    '4bit-qat': { mode: 'weight-only', train: { epochs } },
    fp16: { mode: 'fp16' },
  };
}

interface Subject {
  readonly name: string;
  readonly folder: string;
  readonly seconds: number;
}

async function quantized(name: string, config: object, given: Given): Promise<Subject> {
  const output = join(given.folder, name);
  const start = performance.now();
  if (!existsSync(join(output, 'model', 'manifest.json'))) {
    const checkpoints = join(output, 'checkpoints');
    mkdirSync(checkpoints, { recursive: true });
    const context: StageContext = {
      model: given.bundle,
      baseline: undefined,
      datasets: { data: given.data },
      output,
      checkpoints,
      seed: given.seed,
      threads: given.threads,
      signal: new AbortController().signal,
      progress: () => undefined,
      log: (level, message) => console.error(`${name}: ${level}: ${message}`),
      metric: () => undefined,
    };
    await STAGES.quantize.run(STAGES.quantize.schema.parse(config), context);
  }
  return { name, folder: join(output, 'model'), seconds: (performance.now() - start) / 1000 };
}

function pythonQuantized(python: string, { folder, bundle }: Given): Subject {
  const output = join(folder, 'python', 'model');
  const start = performance.now();
  cpSync(bundle, output, { recursive: true });
  const model = join(output, MODEL_FILE);
  const { status, stderr } = spawnSync(python, ['-c', PYTHON_SIDE, join(bundle, MODEL_FILE), model], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`The Python quantizer failed: ${stderr}`);
  return { name: 'onnxruntime (Python) quantize_dynamic', folder: output, seconds: (performance.now() - start) / 1000 };
}

interface Given {
  readonly bundle: string;
  readonly data: string;
  readonly folder: string;
  readonly seed: number;
  readonly threads: number;
}

interface Quality {
  readonly accuracy: number;
  readonly macroF1: number;
  /** Share of rows with the float model's label. */
  readonly agreement: number;
  /** Mean KL divergence of the class probabilities from the float model's, nats. */
  readonly divergence: number;
  readonly labels: readonly number[];
  /** Logarithms of the class probabilities, row by row. */
  readonly logProbabilities: Float64Array;
}

async function quality(folder: string, { data, threads }: Given, original?: Quality): Promise<Quality> {
  const { logits, outputs, labels } = await predict(folder, data, 'test', {
    runtime: ortRuntime,
    compile: { threads },
    // One text at a time: with dynamic int8, padding and the other rows of a batch change a row's result.
    batchSize: 1,
  });
  const { scores } = scoreClassification({ logits, classes: outputs, labels });
  const predicted = Array.from(labels, (_, row) => {
    const own = logits.subarray(row * outputs, (row + 1) * outputs);
    return own.indexOf(Math.max(...own));
  });
  const same = predicted.filter((label, row) => label === (original?.labels ?? predicted)[row]).length;
  const logProbabilities = logSoftmax(logits, outputs);
  const reference = original?.logProbabilities ?? logProbabilities;
  const divergence = reference.reduce((sum, log, i) => sum + Math.exp(log) * (log - logProbabilities[i]), 0);
  return {
    accuracy: scores.accuracy,
    macroF1: scores.macroF1,
    agreement: same / labels.length,
    divergence: divergence / labels.length,
    labels: predicted,
    logProbabilities,
  };
}

function logSoftmax(logits: Float32Array, width: number): Float64Array {
  return Float64Array.from(logits, (logit, at) => {
    const row = logits.subarray(at - (at % width), at - (at % width) + width);
    return logit - logSumExp(row);
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      bundle: { type: 'string' },
      data: { type: 'string' },
      pytorch: { type: 'string' },
      keep: { type: 'string' },
      only: { type: 'string' },
      seed: { type: 'string', default: '1' },
      threads: { type: 'string', default: '1' },
      seconds: { type: 'string', default: '20' },
      epochs: { type: 'string', default: '1' },
    },
  });
  if (!values.bundle || !values.data) throw new Error('Give --bundle and --data.');
  const folder = values.keep ?? mkdtempSync(join(tmpdir(), 'quantize-'));
  const given: Given = {
    bundle: values.bundle,
    data: values.data,
    folder,
    seed: Number(values.seed),
    threads: Number(values.threads),
  };
  const all = variants(Number(values.epochs));
  const names = values.only?.split(',') ?? Object.keys(all);
  const subjects: Subject[] = [{ name: 'float32', folder: given.bundle, seconds: 0 }];
  for (const name of names) subjects.push(await quantized(name, all[name] ?? missing(name), given));
  if (values.pytorch) subjects.push(pythonQuantized(values.pytorch, given));
  const original = await quality(given.bundle, given);
  const rows: string[][] = [];
  const floatBytes = (await bundleBytes(given.bundle)).model;
  for (const { name, folder: model, seconds } of subjects) {
    const { accuracy, macroF1, agreement, divergence } = await quality(model, given, original);
    const { model: bytes } = await bundleBytes(model);
    rows.push([
      name,
      (100 * accuracy).toFixed(1),
      (100 * macroF1).toFixed(1),
      (100 * agreement).toFixed(1),
      (1000 * divergence).toPrecision(2),
      `${(bytes / 1e6).toFixed(1)} MB`,
      `${((100 * bytes) / floatBytes).toFixed(1)} %`,
      seconds.toFixed(0),
    ]);
    console.error(rows.at(-1)!.join(' | '));
  }
  const { cpu, cpuFlags, runtime } = readEnvironment(given.threads);
  const loads = await latencies(subjects, rows, given, Number(values.seconds));
  console.log(`${cpu} (${cpuFlags.join(' ')}), ${runtime}, ${given.threads} threads, seed ${given.seed}; ${loads}\n`);
  const shapes = SHAPES.map(({ batch, sequence }) => `${batch}x${sequence}`);
  const header = [
    'model',
    'accuracy',
    'macro-F1',
    'same label',
    'KL x 1000',
    'model.onnx',
    'of float',
    'seconds to make',
    ...shapes,
  ];
  console.log(`| ${header.join(' | ')} |\n|${'---|'.repeat(header.length)}`);
  for (const row of rows) console.log(`| ${row.join(' | ')} |`);
}

/** Adds a column per shape; says how busy the machine was with other work. */
async function latencies(
  subjects: readonly Subject[],
  rows: string[][],
  { bundle, threads }: Given,
  seconds: number,
): Promise<string> {
  const manifest = await readManifest(bundle);
  const executables = [];
  for (const { folder } of subjects) {
    executables.push(await ortRuntime.compile({ path: join(folder, MODEL_FILE) }, { threads }));
  }
  const loads: string[] = [];
  for (const shape of SHAPES) {
    const feeds = syntheticInputs(manifest, manifest.structure?.vocabulary ?? 1000, shape, 1);
    const load = new OtherLoad();
    const works = executables.map((executable) => () => executable.run(feeds));
    const samples = await takeTurns(works, { warmup: 2, minRounds: 5, maxRounds: 200, seconds });
    loads.push(`others used ${Math.round(100 * load.share())} % of the machine at ${shape.batch}x${shape.sequence}`);
    rows.forEach((row, i) => {
      const { value, interval } = speedup(samples[0], samples[i]);
      const range = interval.map((x) => x.toFixed(2)).join('-');
      row.push(`${median(samples[i]).toFixed(1)} ms, ${value.toFixed(2)}x (${range})`);
    });
  }
  for (const executable of executables) await executable.release();
  return loads.join(', ');
}

function missing(name: string): never {
  throw new Error(`There is no variant "${name}".`);
}

void main();
