/** @file Replaces one float initializer by codes in blocks: MatMulNBits for products, GatherBlockQuantized for look-ups. */
import { int, string, Tensor } from '../graph';
import type { Attribute, Model, Node, Shape, Value } from '../graph';
import { BLOCK_SIZES, outputRows, roundToBlocks } from './blocks';
import type { BlockCodes, BlockSize } from './blocks';
import { SiteEmitter } from './emit';
import { ACCURACY_LEVELS } from './method';
import type { WeightOnlyMethod } from './method';
import { packCodes, packZeroPoints } from './pack';
import type { LinearSite, Site, TableSite } from './sites';
import { substitute } from './substitute';
import { isShared, moveInto } from './weight';
import type { ReplacedWeight } from './weight';

/** The block of a weight: the method's, or for a table the largest that divides its width. */
export function blockOf(readers: readonly Site[], wanted: BlockSize): BlockSize | undefined {
  const table = readers.find((site) => site.kind === 'table');
  if (!table) return wanted;
  const width = table.weight.constant!.dims[1];
  return [...BLOCK_SIZES].reverse().find((block) => block <= wanted && width % block === 0);
}

/** Quantizes a weight for each orientation that its readers need (nearly always one) and rewrites them. */
export class BlockRewriter {
  private readonly emit: SiteEmitter;

  constructor(
    private readonly model: Model,
    private readonly method: WeightOnlyMethod,
    private readonly overwrite: boolean,
  ) {
    this.emit = new SiteEmitter(model);
  }

  replace(weight: Value, readers: readonly Site[]): ReplacedWeight {
    const { graph } = this.model;
    const { name } = weight;
    const tensor = weight.constant as Tensor<'float32'>;
    const copies = [true, false]
      .map((transposed) => ({ transposed, sites: readers.filter((site) => isByOutput(site) === transposed) }))
      .filter(({ sites }) => sites.length > 0)
      .map(({ transposed, sites }) => this.copy(name, tensor, transposed, sites));
    const floatRemains = graph.values.get(name) === weight;
    if (!floatRemains) {
      graph.renameValue(copies[0].stored, name);
      if (this.overwrite && !isShared(graph, weight)) moveInto(tensor.bytes, copies[0].stored);
    }
    const bytesBefore = tensor.bytes.byteLength;
    return {
      bytesBefore,
      bytesAfter: copies.reduce((sum, { bytes }) => sum + bytes, floatRemains ? bytesBefore : 0),
      relativeError: Math.max(...copies.map((copy) => copy.relativeError)),
      // MatMulNBits reads [outputs, inputs].
      transposed: !readers.every((site) => site.kind === 'table'),
    };
  }

  /** Stores the codes once and lets every site read them. */
  private copy(
    name: string,
    tensor: Tensor<'float32'>,
    transposed: boolean,
    sites: readonly Site[],
  ): { stored: Value; bytes: number; relativeError: number } {
    const block = blockOf(sites, this.method.block)!;
    const known = this.method.codes?.get(name);
    const codes = known ?? roundToBlocks(outputRows(tensor, transposed), { ...this.method, block }, name);
    const packed = packCodes(codes);
    const stored = this.emit.constant(`${name}_codes`, packed);
    const first = sites[0].node;
    const bytes = this.unpacked(first, stored, codes);
    const zeroPoints = codes.symmetric ? undefined : this.emit.constant(`${name}_zero_points`, packZeroPoints(codes));
    let size = packed.bytes.byteLength + (zeroPoints?.constant?.bytes.byteLength ?? 0);
    const byFactor = new Map<number, Value>();
    for (const site of sites) {
      const factor = site.kind === 'table' ? 1 : site.scale;
      const scales = byFactor.get(factor) ?? this.scales(name, codes, factor);
      if (!byFactor.has(factor)) size += scales.constant!.bytes.byteLength;
      byFactor.set(factor, scales);
      const operands = { bytes, scales, zeroPoints };
      const made = site.kind === 'table' ? this.table(site, codes, operands) : this.linear(site, codes, operands);
      substitute(this.model.graph, site.output, made);
    }
    return { stored, bytes: size, relativeError: codes.relativeError };
  }

  /** Scales [outputs, blocks]; 6-bit codes are read as 8-bit codes four times as large. */
  private scales(name: string, { bits, rows, blocks, scales }: BlockCodes, factor: number): Value {
    const ratio = bits === 6 ? factor / 4 : factor;
    return this.emit.constant(
      `${name}_scales`,
      Tensor.float32([rows, blocks], ratio === 1 ? scales : scales.map((s) => s * ratio)),
    );
  }

  /** The stored codes with a byte (8 and 6 bit) or a nibble each, [rows, ...]. ONNX Runtime computes this at load. */
  private unpacked(before: Node, stored: Value, { bits, rows, blocks, block }: BlockCodes): Value {
    if (bits !== 6) return stored;
    const { emit } = this;
    const quarter = (blocks * block) / 4;
    const planes: Shape = [rows, 3, quarter];
    const mask = (value: number): Value => emit.constant('mask', Tensor.of('uint8', [], Uint8Array.of(value)));
    const high = emit.node(before, 'BitwiseAnd', [stored, mask(0xfc)], ['uint8', planes]);
    const low = emit.node(before, 'BitwiseAnd', [stored, mask(0x03)], ['uint8', planes]);
    const places = emit.constant('places', Tensor.of('uint8', [1, 3, 1], Uint8Array.of(6, 4, 2)));
    const shifted = emit.node(before, 'BitShift', [low, places], ['uint8', planes], LEFT);
    const plane = ['uint8', [rows, 1, quarter]] as const;
    const [a, b, c] = emit.nodes(before, 'Split', [shifted], [plane, plane, plane], SPLIT);
    const last = emit.node(before, 'BitwiseOr', [emit.node(before, 'BitwiseOr', [a, b], plane), c], plane);
    return emit.node(before, 'Concat', [high, last], ['uint8', [rows, 4, quarter]], AXIS_1);
  }

  private linear(site: LinearSite, codes: BlockCodes, { bytes, scales, zeroPoints }: Operands): Value {
    const { rows, columns, blocks, block } = codes;
    const bits = readBits(codes);
    const blob = this.shaped(site.node, bytes, [rows, blocks, (block * bits) / 8]);
    const bias = site.bias && this.emit.biasVector(site.bias);
    const inputs = [site.node.input(0), blob, scales, zeroPoints ?? null, ...(bias ? [null, bias] : [])];
    const attributes = new Map<string, Attribute>([
      ['K', int(columns)],
      ['N', int(rows)],
      ['bits', int(bits)],
      ['block_size', int(block)],
      ['accuracy_level', int(ACCURACY_LEVELS[this.method.compute])],
    ]);
    return this.emit.node(site.node, 'MatMulNBits', withoutTail(inputs), ['float32', site.output.shape], attributes);
  }

  private table(site: TableSite, codes: BlockCodes, { bytes, scales, zeroPoints }: Operands): Value {
    const { rows, columns, block } = codes;
    const bits = readBits(codes);
    const data = this.shaped(site.node, bytes, [rows, (columns * bits) / 8]);
    const inputs = [data, site.node.input(1), scales, ...(zeroPoints ? [zeroPoints] : [])];
    const attributes = new Map<string, Attribute>([
      ['bits', int(bits)],
      ['block_size', int(block)],
      ['gather_axis', int(0)],
      ['quantize_axis', int(1)],
    ]);
    return this.emit.node(site.node, 'GatherBlockQuantized', inputs, ['float32', site.output.shape], attributes);
  }

  /** The same bytes under other dimensions; a stored value that nothing reads yet is stored so. */
  private shaped(before: Node, bytes: Value, dims: readonly number[]): Value {
    if (bytes.constant && bytes.uses.size === 0) {
      bytes.constant = bytes.constant.reshape(dims);
      bytes.shape = dims;
      return bytes;
    }
    if (String(bytes.shape) === String(dims)) return bytes;
    const shape = this.emit.constant('dims', Tensor.int64([dims.length], dims));
    return this.emit.node(before, 'Reshape', [bytes, shape], ['uint8', dims]);
  }
}

interface Operands {
  readonly bytes: Value;
  readonly scales: Value;
  readonly zeroPoints: Value | undefined;
}

const LEFT: ReadonlyMap<string, Attribute> = new Map([['direction', string('LEFT')]]);
const SPLIT: ReadonlyMap<string, Attribute> = new Map([
  ['axis', int(1)],
  ['num_outputs', int(3)],
]);
const AXIS_1: ReadonlyMap<string, Attribute> = new Map([['axis', int(1)]]);

/** Bits of a code as the kernels read it. */
const readBits = ({ bits }: BlockCodes): number => (bits === 6 ? 8 : bits);

/** Whether the initializer is stored [outputs, inputs]; of a table, entries are outputs. */
const isByOutput = (site: Site): boolean => site.kind === 'table' || site.transposed;

/** Omitted inputs at the end are left out. */
function withoutTail(inputs: readonly (Value | null)[]): (Value | null)[] {
  return inputs.slice(0, inputs.findLastIndex((input) => input !== null) + 1);
}
