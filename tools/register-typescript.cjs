/**
 * Lets Node load this repository's TypeScript sources: `node --require tools/register-typescript.cjs file.ts`. Tests use
 * it for the threads and processes that they start, benches to run without a build.
 */
const { readFileSync } = require('node:fs');
const Module = require('node:module');
const { transformSync } = require('@swc/core');

const compile = (source, filename) =>
  transformSync(source, {
    filename,
    jsc: {
      target: 'es2022',
      parser: { syntax: 'typescript', decorators: true },
      transform: { legacyDecorator: true, decoratorMetadata: true },
      keepClassNames: true,
    },
    module: { type: 'commonjs' },
    sourceMaps: 'inline',
  }).code;

Module._extensions['.ts'] = (module, filename) =>
  module._compile(compile(readFileSync(filename, 'utf8'), filename), filename);
