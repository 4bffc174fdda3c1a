// Makes a fresh clone runnable with nothing but Node and npm: installs the workspace with the pinned pnpm, compiles the
// native addon where there is a C compiler, and compiles TypeScript. All steps are incremental, so calling it before
// every test or demo costs about a second.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const stamp = join(root, 'node_modules', '.modelpress-install');

/** Runs a command in the repository root and ends this process with its exit code if it fails. */
function run(command, args, env = process.env) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', env });
  if (result.error) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** Changes whenever a dependency may have changed. */
function installKey() {
  const hash = createHash('sha256').update(process.version);
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json']) {
    hash.update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

const key = installKey();
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== key) {
  const npx = process.platform === 'win32' ? 'npx.cmd' : 'npx';
  run(npx, ['--yes', `pnpm@${manifest.config.pnpm}`, 'install', '--frozen-lockfile', '--reporter=append-only'], {
    ...process.env,
    CI: 'true',
  });
  if (statSync(join(root, 'node_modules')).isDirectory()) writeFileSync(stamp, key);
}
run(process.execPath, [join(root, 'packages', 'native', 'build.mjs')]);
run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '--build']);
