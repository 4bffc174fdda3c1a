// Makes the package with the compiled addon of this platform, for machines without a compiler:
//
//   node packages/native/package.mjs FOLDER      -> FOLDER/{package.json, modelpress.node}
//
// Build on the oldest system that is to run it (glibc). A release publishes one per platform, with the version of
// @modelpress/native, and lists them in its optionalDependencies.
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const { prebuiltPackage } = createRequire(import.meta.url)('./dist/find.js');
const [folder] = process.argv.slice(2);
const addon = join(here, 'build', 'modelpress.node');
if (!folder || !existsSync(addon)) throw new Error('Give a folder, and run build.mjs first.');

const { version, license, engines } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
const name = prebuiltPackage();
const libc = process.platform === 'linux' ? { libc: [name.endsWith('-musl') ? 'musl' : 'glibc'] } : {};
const manifest = {
  name,
  version,
  description: `The native addon of modelpress for ${process.platform} on ${process.arch}.`,
  license,
  engines,
  os: [process.platform],
  cpu: [process.arch],
  ...libc,
  files: ['modelpress.node'],
};
mkdirSync(folder, { recursive: true });
copyFileSync(addon, join(folder, 'modelpress.node'));
writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
