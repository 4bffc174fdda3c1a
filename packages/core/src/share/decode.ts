/** @file The nodes that turn packed codes back into a matrix. */
import type { CodebookEntry } from '../bundle/manifest';
import { DTYPES, Tensor } from '../graph';
import type { Graph, Model, Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { groupsOf } from './codebook';
import type { Codebook } from './codebook';
import { packCodes, planeBytes } from './pack';

/** Names of the initializers that stand for a weight. */
export const codebookNames = (weight: string): { centroids: string; codes: string } => ({
  centroids: `${weight}.centroids`,
  codes: `${weight}.codes`,
});

/**
 * Replaces an initializer by
 * ```
 * bits   = BitwiseAnd(BitShift(codes [bits, n/8, 1], 0..7, RIGHT), 1)            uint8 [bits, n/8, 8]
 * code   = BitwiseOr(BitShift(code, 1, LEFT), bits[p]) from the highest p down     uint8 [1, n/8, 8]
 * weight = Gather(centroids, Cast(code) reshaped to [rows, columns] + 2^b group)
 * ```
 * in standard ONNX. All of it is constant: ONNX Runtime computes it once when it loads the model, so the file has b bits
 * a weight, and memory and speed at run time are those of the float matrix. The graph needs `sort()` afterwards.
 */
export function storeAsCodebook(model: Model, weight: Value, book: Codebook): void {
  const { graph } = model;
  const { name } = weight;
  const names = codebookNames(name);
  const build = new GraphBuilder(model);
  const codes = build.parameter(names.codes, packedCodes(book));
  const centroids = build.parameter(names.centroids, Tensor.float32([book.centroids.length], book.centroids));
  const matrix = build.scope(name, () => build.op('Gather', [centroids, indicesOf(build, codes, book)], {}, 'decoded'));
  graph.replaceAllUses(weight, matrix);
  graph.removeValue(weight);
  graph.renameValue(matrix, name);
}

/** int32 [rows, columns]: where each weight's centroid lies. */
function indicesOf(build: GraphBuilder, packed: Value, book: Codebook): Value {
  const { rows, columns, bits } = book;
  const count = rows * columns;
  const planes = build.op('Reshape', [packed, build.int64s([bits, planeBytes(count), 1])]);
  const eighth = build.constant(
    uint8(
      [8],
      Uint8Array.from({ length: 8 }, (_, i) => i),
    ),
    'places',
  );
  const one = build.constant(uint8([], Uint8Array.of(1)), 'one');
  const unpacked = build.op('BitwiseAnd', [build.op('BitShift', [planes, eighth], { direction: 'RIGHT' }), one]);
  const codes = joinPlanes(build, unpacked, bits, one);
  const flat = build.op('Reshape', [codes, build.int64s([-1])]);
  const exact = count % 8 === 0 ? flat : build.op('Slice', [flat, build.int64s([0]), build.int64s([count])]);
  const wide = build.op('Cast', [build.op('Reshape', [exact, build.int64s([rows, columns])])], {
    to: DTYPES.int32.onnx,
  });
  if (groupsOf(book) === 1) return wide;
  return build.op('Add', [wide, build.constant(groupOffsets(book), 'offsets')]);
}

/** [bits, n/8, 8] bits -> [1, n/8, 8] codes, the highest plane first: code <- 2 code + bit */
function joinPlanes(build: GraphBuilder, unpacked: Value, bits: number, one: Value): Value {
  if (bits === 1) return unpacked;
  const planes = build.ops('Split', [unpacked], { axis: 0, num_outputs: bits }, bits);
  return planes.reduceRight((code, plane) =>
    build.op('BitwiseOr', [build.op('BitShift', [code, one], { direction: 'LEFT' }), plane]),
  );
}

/** int32 [rows, 1]: where each row's table begins. */
const groupOffsets = ({ rows, rowsPerGroup, bits }: Codebook): Tensor =>
  Tensor.of(
    'int32',
    [rows, 1],
    Int32Array.from({ length: rows }, (_, row) => Math.floor(row / rowsPerGroup) * 2 ** bits),
  );

const packedCodes = ({ bits, codes }: Codebook): Tensor =>
  uint8([bits * planeBytes(codes.length)], packCodes(codes, bits));

const uint8 = (dims: readonly number[], values: Uint8Array): Tensor => Tensor.of('uint8', dims, values);

/** Bytes of a model's constants once it is loaded: codes are float32 matrices then. */
export function runtimeWeightBytes({ initializers }: Graph, codebooks: readonly CodebookEntry[]): number {
  const coded = new Map(codebooks.map((entry) => [entry.codes, entry]));
  return initializers.reduce((sum, { name, constant }) => {
    const [rows, columns] = coded.get(name)?.dims ?? [];
    return sum + (rows && columns ? 4 * rows * columns : constant!.bytes.byteLength);
  }, 0);
}
