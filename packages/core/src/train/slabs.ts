/** @file Where parameters live while they are trained: weights, gradients and moments side by side in WebAssembly memory. */
import { invalid, limitExceeded } from '../errors';
import { sizeOf } from '../graph';
import type { HostTensor } from '../runtime/runtime';
import { wasmKernels } from './kernels/kernels';
import type { AdamwAddresses } from './kernels/kernels';
import type { KernelMemory } from './kernels/work';

export interface ParameterSpec {
  readonly name: string;
  readonly dims: readonly number[];
}

/** One trainable parameter. The arrays are views: writing to them is seen by every session and kernel. */
export interface ParameterSlot extends ParameterSpec {
  readonly size: number;
  readonly weight: Float32Array;
  readonly gradient: Float32Array;
  readonly firstMoment: Float32Array;
  readonly secondMoment: Float32Array;
  /** Where the gradient of one micro-batch lands when several are summed. */
  readonly landing: Float32Array;
  /** Moving average of the weight, where a trainer keeps one. */
  readonly average: Float32Array;
  /** 1 = kept, 0 = pruned; means something only to those who filled it. */
  readonly mask: Uint8Array;
  /** Byte offsets of the arrays above in `memory`. */
  readonly at: AdamwAddresses & { readonly landing: number; readonly average: number; readonly mask: number };
  readonly memory: KernelMemory;
}

const PAGE = 65536;
const MAX_MEMORY = 65535 * PAGE;
/** Elements; a multiple of the cache line for floats and bytes alike. */
const ALIGNMENT = 64;
/** Slabs of float32, in the order in which they lie in a memory; the byte masks follow. */
const FLOAT_SLABS = ['weight', 'gradient', 'firstMoment', 'secondMoment', 'landing', 'average'] as const;
const BYTES_PER_PARAMETER = FLOAT_SLABS.length * 4 + 1;

/**
 * The trainable parameters of a model. Each memory holds all slabs of a run of parameters, so that one kernel instance
 * sees everything that belongs together; more memories are made when one does not reach. All slabs are reserved, but
 * the system hands out pages only when they are first written: unused landing, average and mask slabs cost nothing.
 *
 * The memories are not shared between threads: ONNX Runtime refuses views of a SharedArrayBuffer.
 */
export class ParameterSlabs {
  /** The weights as inputs of a graph. Engines read them in place: every program and step shares these. */
  readonly feeds: Readonly<Record<string, HostTensor>>;

  private constructor(private readonly byName: ReadonlyMap<string, ParameterSlot>) {
    const slots = [...byName.values()];
    this.feeds = Object.fromEntries(
      slots.map(({ name, dims, weight }) => [name, { dtype: 'float32', dims, data: weight } as const]),
    );
  }

  /**
   * Reserves zeroed memory.
   * @param maxMemoryBytes size of one memory at most; only tests need less than the default
   * @throws ModelpressError `train.parameter-too-large`, `train.memory`
   */
  static allocate(specs: readonly ParameterSpec[], maxMemoryBytes = MAX_MEMORY): ParameterSlabs {
    const slots = new Map<string, ParameterSlot>();
    for (const group of split(specs, Math.floor(maxMemoryBytes / BYTES_PER_PARAMETER))) {
      const count = group.reduce((sum, spec) => sum + alignedSize(spec), 0);
      const wasm = newMemory(count * BYTES_PER_PARAMETER);
      const memory = { buffer: wasm.buffer, kernels: wasmKernels(wasm) };
      let offset = 0;
      for (const spec of group) {
        if (slots.has(spec.name))
          throw invalid('train.duplicate-parameter', `Two parameters are named "${spec.name}".`);
        slots.set(spec.name, slotAt(spec, memory, offset, count));
        offset += alignedSize(spec);
      }
    }
    return new ParameterSlabs(slots);
  }

  /** Every parameter, in the order given to `allocate`. */
  get slots(): ParameterSlot[] {
    return [...this.byName.values()];
  }

  has(name: string): boolean {
    return this.byName.has(name);
  }

  slot(name: string): ParameterSlot {
    const slot = this.byName.get(name);
    if (!slot) throw invalid('train.unknown-parameter', `No trainable parameter is named "${name}".`);
    return slot;
  }
}

/** Elements reserved for a parameter. */
const alignedSize = ({ dims }: ParameterSpec): number => Math.ceil(sizeOf(dims) / ALIGNMENT) * ALIGNMENT;

/** Runs of consecutive parameters of at most `capacity` elements. */
function split(specs: readonly ParameterSpec[], capacity: number): ParameterSpec[][] {
  const groups: ParameterSpec[][] = [];
  let used = Infinity;
  for (const spec of specs) {
    const size = alignedSize(spec);
    if (size > capacity) {
      throw limitExceeded(
        'train.parameter-too-large',
        `Parameter "${spec.name}" has ${sizeOf(spec.dims)} elements; at most ${capacity} can be trained.`,
        { field: spec.name },
      );
    }
    if (used + size > capacity) {
      groups.push([]);
      used = 0;
    }
    groups.at(-1)!.push(spec);
    used += size;
  }
  return groups;
}

function newMemory(bytes: number): WebAssembly.Memory {
  const initial = Math.ceil(bytes / PAGE);
  try {
    return new WebAssembly.Memory({ initial, maximum: initial });
  } catch (cause) {
    const gibibytes = (bytes / 2 ** 30).toFixed(1);
    throw limitExceeded('train.memory', `Cannot reserve ${gibibytes} GiB for parameters: ${String(cause)}`);
  }
}

/** The parameter that starts at element `offset` of slabs of `count` elements. */
function slotAt(spec: ParameterSpec, memory: KernelMemory, offset: number, count: number): ParameterSlot {
  const { buffer } = memory;
  const size = sizeOf(spec.dims);
  const [weight, gradient, firstMoment, secondMoment, landing, average] = FLOAT_SLABS.map(
    (_, i) => (i * count + offset) * 4,
  );
  const mask = FLOAT_SLABS.length * count * 4 + offset;
  const floats = (address: number): Float32Array => new Float32Array(buffer, address, size);
  return {
    name: spec.name,
    dims: spec.dims,
    size,
    weight: floats(weight),
    gradient: floats(gradient),
    firstMoment: floats(firstMoment),
    secondMoment: floats(secondMoment),
    landing: floats(landing),
    average: floats(average),
    mask: new Uint8Array(buffer, mask, size),
    at: { weight, gradient, firstMoment, secondMoment, landing, average, mask },
    memory,
  };
}
