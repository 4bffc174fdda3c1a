/** @file Replaces one float initializer by int8 for all of its readers. */
import type { Graph, Value } from '../graph';
import { Tensor } from '../graph';
import { quantizeSymmetric, transposeBytes } from './affine';
import type { ChannelAxis, QuantizedMatrix } from './affine';
import type { Int8Emitter } from './emit';
import type { LinearSite, Site, TableSite } from './sites';
import { substitute } from './substitute';

export interface ReplacedWeight {
  readonly bytesBefore: number;
  /** Of everything stored instead, scales included, and of the float initializer if another node still reads it. */
  readonly bytesAfter: number;
  /** Frobenius norm of the rounding error over that of the weight. */
  readonly relativeError: number;
  /** Whether the initializer of the weight's name is now stored [out, in]. */
  readonly transposed: boolean;
}

/**
 * Quantizes the weight once for each channel axis that its readers need (nearly always one) and rewrites them.
 * The int8 initializer takes the weight's name unless the float one is still read.
 * @param options.scales learned scales of the outputs, in place of those from the weight's range.
 */
export function replaceWeight(
  graph: Graph,
  emitter: Int8Emitter,
  weight: Value,
  readers: readonly Site[],
  { overwrite, scales }: { readonly overwrite: boolean; readonly scales?: Float32Array | undefined },
): ReplacedWeight {
  const { name } = weight;
  const tensor = weight.constant as Tensor<'float32'>;
  const copies = (['rows', 'columns'] as const)
    .map((axis) => ({ axis, readers: readers.filter((site) => channelAxis(site) === axis) }))
    .filter((copy) => copy.readers.length > 0)
    .map((copy) => new Int8Copy(graph, emitter, name, tensor, copy.axis, copy.readers, scales));
  const floatRemains = graph.values.get(name) === weight;
  if (!floatRemains) {
    graph.renameValue(copies[0].values, name);
    if (overwrite && !isShared(graph, weight)) moveInto(tensor.bytes, copies[0].values);
  }
  const bytesBefore = tensor.bytes.byteLength;
  return {
    bytesBefore,
    bytesAfter: copies.reduce((sum, copy) => sum + copy.bytes, floatRemains ? bytesBefore : 0),
    relativeError: Math.max(...copies.map((copy) => copy.relativeError)),
    transposed: copies[0].transposed,
  };
}

/** Puts an initializer's bytes at the beginning of memory that is not needed any more, if they fit in there. */
export function moveInto(memory: Uint8Array, value: Value): void {
  const { dtype, dims, bytes } = value.constant!;
  if (bytes.length > memory.length) return;
  const place = memory.subarray(0, bytes.length);
  place.set(bytes);
  value.constant = new Tensor(dtype, dims, place);
}

/** Whether another initializer of the graph lies in the same memory. */
export function isShared(graph: Graph, weight: Value): boolean {
  const { bytes } = weight.constant!;
  const end = bytes.byteOffset + bytes.length;
  return graph.initializers.some((value) => {
    const other = value.constant!.bytes;
    return (
      value !== weight &&
      other.buffer === bytes.buffer &&
      other.byteOffset < end &&
      bytes.byteOffset < other.byteOffset + other.length
    );
  });
}

/** The axis of the stored initializer along which each output (or table row) has its own scale. */
const channelAxis = (site: Site): ChannelAxis => (site.kind === 'table' || site.transposed ? 'rows' : 'columns');

/** One quantization of a weight and the rewrite of the nodes that read it. */
class Int8Copy {
  readonly values: Value;
  readonly relativeError: number;
  /** Whether the values are stored [out, in]: only where a look-up shares them, which needs whole rows. */
  readonly transposed: boolean;
  bytes: number;

  constructor(
    private readonly graph: Graph,
    private readonly emitter: Int8Emitter,
    private readonly name: string,
    tensor: Tensor<'float32'>,
    axis: ChannelAxis,
    readers: readonly Site[],
    learned: Float32Array | undefined,
  ) {
    const [rows, columns] = tensor.dims as [number, number];
    const matrix = quantizeSymmetric(tensor, axis, name, { scales: learned });
    const tables = readers.filter((site): site is TableSite => site.kind === 'table');
    const products = readers.filter((site): site is LinearSite => site.kind === 'linear');
    const turn = axis === 'rows' && tables.length === 0;
    const [dims, bytes] = turn
      ? [[columns, rows], transposeBytes(matrix.values, rows, columns)]
      : [[rows, columns], matrix.values];
    this.values = this.add('int8', Tensor.of('int8', dims, bytes));
    this.relativeError = matrix.relativeError;
    this.transposed = axis === 'rows' && !turn;
    this.bytes = bytes.byteLength;
    this.rewriteTables(tables, matrix);
    this.rewriteProducts(products, matrix);
  }

  private rewriteTables(tables: readonly TableSite[], { scales }: QuantizedMatrix): void {
    if (tables.length === 0) return;
    const rowScales = this.addScales([scales.length, 1], scales);
    for (const site of tables) {
      substitute(this.graph, site.output, this.emitter.table(site, { values: this.values, scales: rowScales }));
    }
  }

  private rewriteProducts(products: readonly LinearSite[], { scales }: QuantizedMatrix): void {
    const byFactor = new Map<number, Value>();
    for (const site of products) {
      const known = byFactor.get(site.scale);
      const factored =
        known ??
        this.addScales(
          [scales.length],
          scales.map((scale) => scale * site.scale),
        );
      byFactor.set(site.scale, factored);
      const values = this.transposed ? this.emitter.transposed(site.node, this.values) : this.values;
      substitute(this.graph, site.output, this.emitter.linear(site, { values, scales: factored }));
    }
  }

  private addScales(dims: readonly number[], scales: Float32Array): Value {
    this.bytes += scales.byteLength;
    return this.add('scale', Tensor.float32(dims, scales));
  }

  private add(suffix: string, tensor: Tensor): Value {
    return this.graph.addInitializer(this.graph.uniqueName(`${this.name}_${suffix}`), tensor);
  }
}
