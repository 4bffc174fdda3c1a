// Compiles packages/core/assembly/kernels.ts and writes the bytes into packages/core/src/train/kernels.
// `--check` writes nothing and fails when the committed bytes are not what the source compiles to.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { main } from 'assemblyscript/asc';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const source = readFileSync(join(root, 'packages/core/assembly/kernels.ts'), 'utf8');
const target = join(root, 'packages/core/src/train/kernels/kernels.generated.ts');

const files = new Map([['kernels.ts', source]]);
const { error } = await main(
  [
    'kernels.ts',
    '--outFile',
    'kernels.wasm',
    '--optimizeLevel',
    '3',
    '--noAssert',
    '--enable',
    'simd',
    '--runtime',
    'stub',
    '--importMemory',
    '--use',
    'abort=',
  ],
  {
    readFile: (name) => files.get(name) ?? null,
    writeFile: (name, contents) => files.set(name, contents),
    listFiles: () => [],
  },
);
if (error) {
  console.error(error.message);
  process.exit(1);
}
const base64 = Buffer.from(files.get('kernels.wasm')).toString('base64');
const lines = base64.match(/.{1,100}/g).map((line) => `  '${line}',`);
const text = `/** @file Written by tools/build-kernels.mjs from packages/core/assembly/kernels.ts. Do not edit. */
export const KERNELS_BASE64 = [
${lines.join('\n')}
].join('');
`;

if (!process.argv.includes('--check')) {
  writeFileSync(target, text);
} else if (readFileSync(target, 'utf8') !== text) {
  console.error('The committed kernels differ from their source: run node tools/build-kernels.mjs');
  process.exit(1);
}
