// Compiles the AssemblyScript kernels and writes their bytes, as base64, beside the code that loads them.
// `--check` writes nothing and fails when committed bytes are not what the source compiles to.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { main } from 'assemblyscript/asc';

const KERNELS = [
  { source: 'packages/core/assembly/kernels.ts', target: 'packages/core/src/train/kernels/kernels.generated.ts' },
  { source: 'packages/core/assembly/dan.ts', target: 'packages/core/src/dan/kernels.generated.ts' },
  { source: 'packages/dan/assembly/dan.ts', target: 'packages/dan/src/kernels.generated.ts' },
  {
    source: 'packages/dan/assembly/dan.ts',
    target: 'packages/dan/src/kernels-shared.generated.ts',
    // A module imports either a shared memory or one of its own, never both.
    options: '--enable threads --sharedMemory --maximumMemory 65536',
  },
];

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** The compiled bytes of an AssemblyScript file: SIMD, no runtime, memory from outside. */
async function compile(source, more = '') {
  const files = new Map([['kernels.ts', readFileSync(join(root, source), 'utf8')]]);
  const options = '--optimizeLevel 3 --noAssert --enable simd --runtime stub --importMemory --use abort= ';
  const { error } = await main(['kernels.ts', '--outFile', 'kernels.wasm', ...(options + more).trim().split(/\s+/)], {
    readFile: (name) => files.get(name) ?? null,
    writeFile: (name, contents) => files.set(name, contents),
    stderr: process.stderr,
    listFiles: () => [],
  });
  if (error) throw new Error(`${source}: ${error.message}`);
  return Buffer.from(files.get('kernels.wasm'));
}

const check = process.argv.includes('--check');
for (const { source, target, options } of KERNELS) {
  const lines = (await compile(source, options)).toString('base64').match(/.{1,100}/g);
  const text = `/** @file Written by tools/build-kernels.mjs from ${source}. Do not edit. */
export const KERNELS_BASE64 = [
${lines.map((line) => `  '${line}',`).join('\n')}
].join('');
`;
  if (!check) {
    writeFileSync(join(root, target), text);
  } else if (readFileSync(join(root, target), 'utf8') !== text) {
    console.error(`${target} differs from its source: run node tools/build-kernels.mjs`);
    process.exit(1);
  }
}
