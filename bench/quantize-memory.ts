/**
 * @file Time and peak memory of turning a BERT-base-sized model (110 M random parameters, 438 MB) into int8, blocks of 8,
 * 6 and 4 bits, and fp16; int8 against ONNX Runtime's Python quantizer on the same file in the same run.
 *
 *   npm run build && node --require ./tools/register-typescript.cjs bench/quantize-memory.ts [PYTHON] [ROUNDS]
 *
 * PYTHON is an interpreter with onnx and onnxruntime, or "-": then only our side is measured. Each run is a process of
 * its own, in turns, on one thread. Default: 3 rounds.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeBundle } from '../packages/core/src/bundle/bundle';
import { median } from '../packages/core/src/bench/statistics';
import { createTransformer, transformerConfig } from '../packages/core/src/models';

/** Stage configs by name. */
const CONFIGS = {
  int8: {},
  '8 bits': { mode: 'weight-only', weights: { bits: 8 } },
  '6 bits': { mode: 'weight-only', weights: { bits: 6 } },
  '4 bits': { mode: 'weight-only', weights: { bits: 4 } },
  fp16: { mode: 'fp16' },
} as const;
const CORE = join(__dirname, '..', 'packages', 'core');
/** Runs the quantize stage of the built package. */
const OUR_SIDE = `
const { STAGES } = require(process.argv[1]);
const [, , model, output, config] = process.argv;
const ignore = () => undefined;
const context = { model, output, checkpoints: output, datasets: {}, seed: 0, threads: 1, progress: ignore, log: ignore, metric: ignore };
require('node:fs').mkdirSync(output, { recursive: true });
const start = performance.now();
STAGES.quantize
  .run(STAGES.quantize.schema.parse(JSON.parse(config)), { ...context, signal: new AbortController().signal })
  .then(() => console.log((performance.now() - start) / 1000, process.resourceUsage().maxRSS * 1024));
`;
const PYTHON_SIDE = `
import resource, sys, time
from onnxruntime.quantization import quantize_dynamic, QuantType
start = time.time()
quantize_dynamic(sys.argv[1], sys.argv[2], per_channel=True, weight_type=QuantType.QInt8)
print(time.time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
`;

interface Figures {
  readonly seconds: number;
  readonly peakBytes: number;
}

/** Figures that a command prints on its last line: seconds and bytes. */
function figuresOf(command: string, args: readonly string[]): Figures {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} failed: ${stderr}`);
  const [seconds, peakBytes] = stdout.trim().split('\n').at(-1)!.split(' ').map(Number);
  return { seconds, peakBytes };
}

function report(side: string, runs: readonly Figures[], output: string, modelBytes: number): void {
  const seconds = median(runs.map((run) => run.seconds));
  const peakBytes = Math.max(...runs.map((run) => run.peakBytes));
  const share = ((100 * statSync(output).size) / modelBytes).toFixed(1);
  const peak = `${(peakBytes / 1e6).toFixed(0)} MB (${(peakBytes / modelBytes).toFixed(2)}x the model)`;
  console.log(`${side}: ${seconds.toFixed(2)} s, peak ${peak}, ${share} % of the bytes`);
}

async function main(python: string, rounds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'quantize-memory-'));
  try {
    const config = transformerConfig('bert', { layers: 12, hidden: 768, heads: 12, vocabulary: 30522, maxLength: 512 });
    const options = { task: 'classification', labels: ['a', 'b'], seed: 1, name: 'bert-base-sized' } as const;
    await writeBundle(join(folder, 'model'), createTransformer(config, options));
    const input = join(folder, 'model', 'model.onnx');
    const sides = Object.entries(CONFIGS).map(([name, settings]) => {
      const output = join(folder, name);
      const args = ['-e', OUR_SIDE, CORE, join(folder, 'model'), output, JSON.stringify(settings)];
      return {
        name,
        command: process.execPath,
        args,
        file: join(output, 'model', 'model.onnx'),
        runs: [] as Figures[],
      };
    });
    if (python !== '-') {
      const file = join(folder, 'python.onnx');
      const args = ['-c', PYTHON_SIDE, input, file];
      sides.push({ name: 'int8, onnxruntime (Python)', command: python, args, file, runs: [] });
    }
    for (let round = 0; round < rounds; round++)
      for (const { command, args, runs } of sides) runs.push(figuresOf(command, args));
    for (const { name, runs, file } of sides) report(name, runs, file, statSync(input).size);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const [python = '-', rounds = '3'] = process.argv.slice(2);
void main(python, Number(rounds));
