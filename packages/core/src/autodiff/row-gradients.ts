/** @file Gradients of embedding tables as rows: a batch touches few of them, and a dense gradient would be mostly zeros. */
import { sizeOf } from '../graph';
import type { Value } from '../graph';
import type { GraphBuilder } from '../graph/builder';
import { reshape } from '../ops/gradient';
import { staticShape } from '../ops/shapes';

/** Smaller tables (positions, token types) are cheaper as dense gradients. */
const MIN_ROWS = 1000;

/** Whether a parameter is a large table that is read only by row index. */
export function isRowTable(parameter: Value): boolean {
  const [rows, ...rest] = staticShape(parameter);
  return (
    rows >= MIN_ROWS &&
    rest.length > 0 &&
    [...parameter.uses].every(
      ({ node, index }) =>
        node.opType === 'Gather' && index === 0 && node.attribute('axis', 'int', 0) === 0 && !node.input(1).constant,
    )
  );
}

/**
 * The gradient of a table from those of its lookups.
 * @returns `ids` (any shape, n elements) and `rows` [n, width]; undefined if the loss depends on no lookup
 */
export function rowGradient(
  build: GraphBuilder,
  table: Value,
  gradientOf: ReadonlyMap<Value, Value>,
): { ids: Value; rows: Value } | undefined {
  const width = sizeOf(staticShape(table).slice(1));
  const lookups = table.consumers.flatMap((node) => {
    const gradient = gradientOf.get(node.output());
    return gradient ? [{ ids: node.input(1), gradient }] : [];
  });
  if (lookups.length === 0) return undefined;
  const rows = lookups.map(({ gradient }) => reshape(build, gradient, [sizeOf(staticShape(gradient)) / width, width]));
  if (lookups.length === 1) return { ids: lookups[0].ids, rows: rows[0] };
  const ids = lookups.map(({ ids }) => reshape(build, ids, [sizeOf(staticShape(ids))]));
  return { ids: build.op('Concat', ids, { axis: 0 }), rows: build.op('Concat', rows, { axis: 0 }) };
}
