/** @file Finds TensorFlow.js. Nothing is loaded before a graph is compiled, and nothing has to be installed. */
import util from 'node:util';
import { unsupported } from '../../errors';
import type { Device, RuntimeCapabilities } from '../runtime';

/** TensorFlow.js, whichever package brought it. */
export type Tf = typeof import('@tensorflow/tfjs-core');
export type TfTensor = import('@tensorflow/tfjs-core').Tensor;

/** TensorFlow.js and the backend to compute on. A process has one current backend: select it before computing. */
export interface TfLibrary {
  readonly tf: Tf;
  readonly backend: string;
}

/** The backend of each device, and what loads it. `undefined`: TensorFlow.js has none for Node. */
const BACKENDS: Readonly<Record<Device, { name: string; packages: readonly string[]; load: () => Tf } | undefined>> = {
  cpu: {
    name: 'cpu',
    packages: ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-cpu'],
    load() {
      const tf = require('@tensorflow/tfjs-core') as Tf;
      void require('@tensorflow/tfjs-backend-cpu'); // registers itself
      return tf;
    },
  },
  cuda: {
    name: 'tensorflow',
    packages: ['@tensorflow/tfjs-node-gpu'],
    load() {
      restoreIsNullOrUndefined();
      return require('@tensorflow/tfjs-node-gpu') as Tf;
    },
  },
  webgpu: undefined,
};

/** tfjs-node 4.22 calls `util.isNullOrUndefined`, which Node 23 removed. */
function restoreIsNullOrUndefined(): void {
  if ('isNullOrUndefined' in util) return;
  Object.defineProperty(util, 'isNullOrUndefined', { value: (x: unknown) => x === null || x === undefined });
}

/**
 * Loads TensorFlow.js and starts the backend for a device.
 * @throws ModelpressError `runtime.device` that says which package is missing or why it does not start
 */
export async function loadTensorFlow(device: Device): Promise<TfLibrary> {
  const backend = BACKENDS[device];
  if (!backend) throw unsupported('runtime.device', `TensorFlow.js has no ${device} backend for Node.`);
  try {
    const tf = backend.load();
    tf.enableProdMode();
    if (await tf.setBackend(backend.name)) return { tf, backend: backend.name };
    throw new Error(`its backend "${backend.name}" does not start`);
  } catch (cause) {
    const packages = backend.packages.join(' and ');
    const [reason] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
    throw unsupported('runtime.device', `TensorFlow.js on ${device} needs ${packages}: ${reason}`);
  }
}

/** Tries both devices. */
export async function tfjsCapabilities(): Promise<RuntimeCapabilities> {
  let version = 'not installed';
  const devices: RuntimeCapabilities['devices'][number][] = [];
  for (const device of ['cpu', 'cuda'] as const) {
    try {
      version = (await loadTensorFlow(device)).tf.version_core;
      devices.push({ device, available: true });
    } catch (error) {
      devices.push({ device, available: false, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  return { runtime: 'tfjs', version, devices };
}
