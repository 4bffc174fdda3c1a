// Nest's decorators need the metadata shim before any class is defined.
require('reflect-metadata');

// onnxruntime-node makes and tests typed arrays of Node's own realm, while Jest gives every test file a fresh one:
// use the outer constructors, as Jest itself does for ArrayBuffer and Uint8Array.
const { runInThisContext } = require('node:vm');
for (const bits of [
  'Int8',
  'Uint8Clamped',
  'Int16',
  'Uint16',
  'Int32',
  'Uint32',
  'Float32',
  'Float64',
  'BigInt64',
  'BigUint64',
]) {
  globalThis[`${bits}Array`] = runInThisContext(`${bits}Array`);
}
