/** @file From scores to masks. A mask is a Uint8Array over the elements of its matrix, 1 = kept. */
import { invalid } from '../errors';
import { selectSmallest } from './select';

/** Scores of one weight matrix in the layout of its initializer, [rows = inputs, columns = outputs], row-major. */
export interface ScoredMatrix {
  readonly name: string;
  /** Matrices with equal group share a threshold under scope `layer`. */
  readonly layer: number;
  readonly rows: number;
  readonly columns: number;
  readonly scores: Float32Array;
}

/** What is kept or removed as a unit. */
export type MaskPattern =
  | { readonly kind: 'weight' }
  /** In each run of `of` consecutive inputs of one output, the `keep` best stay (2:4 is keep 2 of 4). */
  | { readonly kind: 'n-of-m'; readonly keep: number; readonly of: number }
  /** Tiles of `rows` inputs x `columns` outputs, scored by their mean: 1x16 and 1x4 are what fast kernels read. */
  | { readonly kind: 'block'; readonly rows: number; readonly columns: number };

/** Which matrices share one threshold. */
export type MaskScope = 'global' | 'layer' | 'matrix';

/**
 * Masks that remove the lowest scores. Exactly floor(n * sparsity) units of each scope group go, ties by position.
 * For `n-of-m` the sparsity is 1 - keep / of by definition and the argument is ignored.
 *
 * @throws invalid `prune.pattern-size` when a matrix is not divisible by the pattern.
 */
export function masksFromScores(
  matrices: readonly ScoredMatrix[],
  sparsity: number,
  pattern: MaskPattern,
  scope: MaskScope,
): Map<string, Uint8Array> {
  for (const matrix of matrices) assertDivides(matrix, pattern);
  if (pattern.kind === 'n-of-m') {
    return new Map(matrices.map((matrix) => [matrix.name, nOfM(matrix, pattern.keep, pattern.of)]));
  }
  const tile = pattern.kind === 'block' ? pattern : { rows: 1, columns: 1 };
  const masks = new Map<string, Uint8Array>();
  for (const group of groupBy(matrices, scope)) {
    const units = group.map((matrix) => unitScores(matrix, tile.rows, tile.columns));
    const total = units.reduce((sum, unit) => sum + unit.length, 0);
    const { selected } = selectSmallest(units, Math.floor(total * sparsity));
    group.forEach((matrix, i) => masks.set(matrix.name, expand(matrix, selected[i], tile.rows, tile.columns)));
  }
  return masks;
}

/** Share of zeros in a mask. */
export function maskSparsity(mask: Uint8Array): number {
  let kept = 0;
  for (let i = 0; i < mask.length; i++) kept += mask[i];
  return mask.length === 0 ? 0 : 1 - kept / mask.length;
}

/** Why a matrix cannot take a pattern, or undefined if it can. */
export function patternProblem(
  matrix: Pick<ScoredMatrix, 'name' | 'rows' | 'columns'>,
  pattern: MaskPattern,
): string | undefined {
  const shape = `${matrix.name} is [${matrix.rows}, ${matrix.columns}]`;
  if (pattern.kind === 'n-of-m' && matrix.rows % pattern.of !== 0) {
    return `${shape}: its ${matrix.rows} inputs do not divide into runs of ${pattern.of}.`;
  }
  if (pattern.kind === 'block' && (matrix.rows % pattern.rows !== 0 || matrix.columns % pattern.columns !== 0)) {
    return `${shape}, which does not divide into blocks of ${pattern.rows}x${pattern.columns}.`;
  }
  return undefined;
}

function assertDivides(matrix: ScoredMatrix, pattern: MaskPattern): void {
  const problem = patternProblem(matrix, pattern);
  if (problem) throw invalid('prune.pattern-size', problem);
}

function groupBy(matrices: readonly ScoredMatrix[], scope: MaskScope): ScoredMatrix[][] {
  const groups = new Map<string, ScoredMatrix[]>();
  for (const matrix of matrices) {
    const key = { global: '', layer: String(matrix.layer), matrix: matrix.name }[scope];
    const group = groups.get(key);
    if (group) group.push(matrix);
    else groups.set(key, [matrix]);
  }
  return [...groups.values()];
}

/** Mean score of each tile, tiles in row-major order. */
function unitScores(matrix: ScoredMatrix, tileRows: number, tileColumns: number): Float32Array {
  if (tileRows === 1 && tileColumns === 1) return matrix.scores;
  const across = matrix.columns / tileColumns;
  const units = new Float32Array((matrix.rows / tileRows) * across);
  for (let row = 0; row < matrix.rows; row++) {
    const unitRow = Math.floor(row / tileRows) * across;
    for (let column = 0; column < matrix.columns; column++) {
      const unit = unitRow + Math.floor(column / tileColumns);
      units[unit] += matrix.scores[row * matrix.columns + column];
    }
  }
  const area = tileRows * tileColumns;
  return units.map((sum) => sum / area);
}

/** The element mask of a matrix whose tiles are pruned where `pruned` is 1. */
function expand(matrix: ScoredMatrix, pruned: Uint8Array, tileRows: number, tileColumns: number): Uint8Array {
  if (tileRows === 1 && tileColumns === 1) return inverted(pruned);
  const across = matrix.columns / tileColumns;
  const mask = new Uint8Array(matrix.rows * matrix.columns);
  for (let row = 0; row < matrix.rows; row++) {
    const unitRow = Math.floor(row / tileRows) * across;
    for (let column = 0; column < matrix.columns; column++) {
      mask[row * matrix.columns + column] = 1 - pruned[unitRow + Math.floor(column / tileColumns)];
    }
  }
  return mask;
}

/** A plain loop: masks of trained scores are made after every step. */
function inverted(pruned: Uint8Array): Uint8Array {
  const kept = new Uint8Array(pruned.length);
  for (let i = 0; i < kept.length; i++) kept[i] = 1 - pruned[i];
  return kept;
}

function nOfM(matrix: ScoredMatrix, keep: number, of: number): Uint8Array {
  const { rows, columns, scores } = matrix;
  const mask = new Uint8Array(rows * columns);
  const run = Array.from({ length: of }, (_, i) => i);
  for (let column = 0; column < columns; column++) {
    for (let start = 0; start < rows; start += of) {
      const at = (offset: number): number => (start + offset) * columns + column;
      const best = [...run].sort((a, b) => scores[at(b)] - scores[at(a)] || b - a);
      for (const offset of best.slice(0, keep)) mask[at(offset)] = 1;
    }
  }
  return mask;
}
