// Compiles the addon with the C compiler of this machine: build/modelpress.node. Nothing is downloaded.
//
//   node packages/native/build.mjs [--sanitize]
//
// Without a compiler it says so in one line and ends well: modelpress then uses onnxruntime-node alone. It compiles
// only what is not compiled yet for these sources, flags and compiler. --sanitize builds build/sanitized/modelpress.node
// with AddressSanitizer and UndefinedBehaviorSanitizer.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const sanitize = process.argv.includes('--sanitize');
const folder = join(here, 'build', ...(sanitize ? ['sanitized'] : []));
const addon = join(folder, 'modelpress.node');
const stamp = join(folder, 'modelpress.stamp');

/** Kernels choose their instructions at run time, so one binary serves every processor of an architecture. */
const FLAGS = [
  '-std=gnu11',
  '-O3',
  '-fPIC',
  '-fvisibility=hidden',
  '-fno-math-errno',
  '-pthread',
  '-Wall',
  '-Wextra',
  '-Wno-psabi',
];
const SANITIZE = [
  '-g',
  '-O1',
  '-fno-omit-frame-pointer',
  '-fsanitize=address,undefined',
  '-fno-sanitize-recover=undefined',
];
const LINK = process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared'];

const say = (message) => console.log(`@modelpress/native: ${message}`);

/** The first compiler that answers, with its version line. */
function findCompiler() {
  for (const command of [process.env.CC, 'cc', 'gcc', 'clang']) {
    if (!command) continue;
    try {
      const version = execFileSync(command, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
      return { command, version: version.split('\n')[0] };
    } catch {
      // not installed: the next one
    }
  }
  return undefined;
}

/** The folder of node_api.h: what this Node brings, else the package node-api-headers. */
function findHeaders() {
  const own = join(dirname(process.execPath), '..', 'include', 'node');
  if (existsSync(join(own, 'node_api.h'))) return own;
  return createRequire(import.meta.url)('node-api-headers').include_dir;
}

const filesOf = (part) =>
  readdirSync(join(here, 'native', part))
    .filter((name) => /\.[ch]$/.test(name))
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((name) => join(here, 'native', part, name));

function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', reject);
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${command} ended with ${code}`))));
  });
}

/** Compiles one object per source, as many at once as there are cores, and links them. */
async function compile(compiler, flags, sources) {
  const objects = join(folder, `objects-${process.pid}`);
  mkdirSync(objects, { recursive: true });
  try {
    const waiting = sources.map((source) => ({
      source,
      object: join(objects, `${relative(here, source).replace(/[\\/]/g, '-')}.o`),
    }));
    const made = waiting.map(({ object }) => object);
    const worker = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        await run(compiler, [...flags, '-c', next.source, '-o', next.object]);
      }
    };
    await Promise.all(Array.from({ length: availableParallelism() }, worker));
    const linked = join(objects, basename(addon));
    await run(compiler, [...(sanitize ? SANITIZE : []), ...LINK, '-pthread', ...made, '-lm', '-ldl', '-o', linked]);
    // By rename: a process that has the old file mapped keeps it.
    renameSync(linked, addon);
  } finally {
    rmSync(objects, { recursive: true, force: true });
  }
}

async function main() {
  if (process.platform === 'win32') return say('there is no build for Windows; onnxruntime-node is used instead.');
  const compiler = findCompiler();
  if (!compiler) return say('no C compiler (cc, gcc or clang) was found; onnxruntime-node is used instead.');
  const flags = [...FLAGS, ...(sanitize ? SANITIZE : []), '-I', findHeaders()];
  const files = ['ort', 'addon', 'ops', 'kernels'].flatMap(filesOf);
  const hash = createHash('sha256').update(JSON.stringify([compiler, flags, process.platform, process.arch]));
  for (const file of files) hash.update(relative(here, file)).update(readFileSync(file));
  const key = hash.digest('hex');
  if (existsSync(addon) && existsSync(stamp) && readFileSync(stamp, 'utf8') === key) return;
  mkdirSync(folder, { recursive: true });
  await compile(
    compiler.command,
    flags,
    files.filter((file) => file.endsWith('.c')),
  );
  writeFileSync(stamp, key);
  say(`compiled with ${compiler.version}.`);
}

try {
  await main();
} catch (error) {
  say(`${error.message}; onnxruntime-node is used instead.`);
  // An installation goes on without the addon; whoever called this script wants to know.
  if (process.env.npm_lifecycle_event !== 'install') process.exitCode = 1;
}
