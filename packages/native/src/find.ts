/** @file Where the addon and ONNX Runtime's library lie. Only paths inside installed packages are ever loaded. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { NativeError } from './errors';

/** Node built against musl says no version of glibc. */
function isMusl(): boolean {
  if (process.platform !== 'linux') return false;
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime === undefined;
}

/** The package with a compiled addon for this platform, e.g. `@modelpress/native-linux-x64`. */
export const prebuiltPackage = (): string =>
  `@modelpress/native-${process.platform}-${process.arch}${isMusl() ? '-musl' : ''}`;

/**
 * The compiled addon: of the platform's package if that is installed, else what `build.mjs` has compiled here.
 * @throws NativeError `native.addon`
 */
export function findAddon(): string {
  const prebuilt = prebuiltPackage();
  try {
    return require.resolve(`${prebuilt}/modelpress.node`);
  } catch {
    const own = join(__dirname, '..', 'build', 'modelpress.node');
    if (existsSync(own)) return own;
  }
  throw new NativeError(
    'native.addon',
    `The native addon is not compiled and ${prebuilt} is not installed; with a C compiler, "npm rebuild @modelpress/native" compiles it.`,
  );
}

const LIBRARY_NAME = /^libonnxruntime\.(so\.\d|.*dylib$)/;

/**
 * ONNX Runtime's library inside the installed onnxruntime-node; its folder carries the version of Node-API.
 * @throws NativeError `native.library`
 */
export function findLibrary(): string {
  const { platform, arch } = process;
  try {
    // .../onnxruntime-node/dist/index.js
    const bin = join(dirname(require.resolve('onnxruntime-node')), '..', 'bin');
    const folders = readdirSync(bin)
      .filter((name) => /^napi-v\d+$/.test(name))
      .sort((a, b) => Number(b.slice(6)) - Number(a.slice(6)))
      .map((name) => join(bin, name, platform, arch))
      .filter((folder) => existsSync(folder));
    for (const folder of folders) {
      const [file] = readdirSync(folder).filter((name) => LIBRARY_NAME.test(name));
      if (file) return join(folder, file);
    }
  } catch {
    // not installed: said below
  }
  throw new NativeError('native.library', `onnxruntime-node brings no library for ${platform} on ${arch}.`);
}
