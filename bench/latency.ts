/**
 * @file Latency of int8 against float on a BERT-base-sized model with random weights, and against the file that ONNX
 * Runtime's Python quantizer makes of it. All models run in turns in one process, so a busy machine slows all alike.
 *
 *   node --require ./tools/register-typescript.cjs bench/latency.ts [PYTHON] [LAYERS HIDDEN]
 *
 * PYTHON is an interpreter with onnx and onnxruntime, or "-". Default size: 12 layers of 768.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { syntheticInputs } from '../packages/core/src/bench/inputs';
import { readEnvironment } from '../packages/core/src/bench/environment';
import { OtherLoad } from '../packages/core/src/bench/other-load';
import { median, speedup } from '../packages/core/src/bench/statistics';
import { takeTurns } from '../packages/core/src/bench/take-turns';
import { createTransformer, transformerConfig } from '../packages/core/src/models';
import { readModelFile, writeModelFile } from '../packages/core/src/onnx';
import { EMISSION_FORMS, quantizeDynamicInt8 } from '../packages/core/src/quantize';
import { ortRuntime } from '../packages/core/src/runtime';

const SHAPES = [
  { batch: 1, sequence: 32 },
  { batch: 8, sequence: 128 },
];
const THREADS = [1, 2];
const SECONDS = 20;
const PYTHON_SIDE = `
import sys
from onnxruntime.quantization import quantize_dynamic, QuantType
quantize_dynamic(sys.argv[1], sys.argv[2], per_channel=True, weight_type=QuantType.QInt8)
`;

async function main(python: string, layers: number, hidden: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'latency-'));
  try {
    const sizes = { layers, hidden, heads: hidden / 64, vocabulary: 30522, maxLength: 512 };
    const options = { task: 'classification', labels: ['a', 'b'], seed: 1, name: 'bench' } as const;
    const { model, manifest } = createTransformer(transformerConfig('bert', sizes), options);
    const float = join(folder, 'float.onnx');
    await writeModelFile(model, float);
    const paths = new Map([['float', float]]);
    for (const form of EMISSION_FORMS) {
      const int8 = await readModelFile(float);
      quantizeDynamicInt8(int8, { form, overwrite: true });
      paths.set(form, join(folder, `${form}.onnx`));
      await writeModelFile(int8, join(folder, `${form}.onnx`));
    }
    if (python !== '-') {
      const output = join(folder, 'python.onnx');
      const { status, stderr } = spawnSync(python, ['-c', PYTHON_SIDE, float, output], { encoding: 'utf8' });
      if (status !== 0) throw new Error(`The Python quantizer failed: ${stderr}`);
      paths.set('onnxruntime (Python)', output);
    }
    const { cpu, cpuFlags, runtime } = readEnvironment(1);
    console.log(`${cpu} (${cpuFlags.join(' ')}), ${runtime}; L${layers} H${hidden}`);
    for (const [name, path] of paths) {
      console.log(`${name}: ${((100 * statSync(path).size) / statSync(float).size).toFixed(1)} % of the bytes`);
    }
    for (const threads of THREADS) {
      const executables = [];
      for (const path of paths.values()) executables.push(await ortRuntime.compile({ path }, { threads }));
      for (const shape of SHAPES) {
        const feeds = syntheticInputs(manifest, sizes.vocabulary, shape, 1);
        const load = new OtherLoad();
        const samples = await takeTurns(
          executables.map((executable) => () => executable.run(feeds)),
          { warmup: 2, minRounds: 5, maxRounds: 200, seconds: SECONDS },
        );
        const others = `${samples[0].length} rounds, others used ${Math.round(100 * load.share())} % of the machine`;
        console.log(`\n${shape.batch}x${shape.sequence}, threads ${threads} (${others})`);
        [...paths.keys()].forEach((name, i) => {
          const { value, interval } = speedup(samples[0], samples[i]);
          const range = interval.map((x) => x.toFixed(2)).join('-');
          console.log(
            `  ${name.padEnd(24)} ${median(samples[i]).toFixed(1)} ms, ${value.toFixed(2)}x float (${range})`,
          );
        });
      }
      for (const executable of executables) await executable.release();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const [python = '-', layers = '12', hidden = '768'] = process.argv.slice(2);
void main(python, Number(layers), Number(hidden));
