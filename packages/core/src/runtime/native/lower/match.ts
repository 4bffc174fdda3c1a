/** @file What the rewrites for the native runtime match by. */
import type { Node, Value } from '../../../graph';
import { isClose, operandsOf, producerOf, scalarOf } from '../../../passes/rewrite';

/** The node that alone reads a value, once; undefined where several do. */
export const onlyReader = ({ uses, consumers }: Value): Node | undefined =>
  uses.size === 1 ? consumers[0] : undefined;

/** The other operand, if `value` is the product of `factor` and one. */
export const cofactor = (value: Value | null | undefined, factor: Value): Value | undefined =>
  operandsOf(value?.producer, 'Mul').find(([a]) => a === factor)?.[1];

/** x, if `value` is factor * x. */
export const scaledBy = (value: Value, factor: number): Value | undefined =>
  operandsOf(value.producer, 'Mul').find(([, constant]) => isClose(scalarOf(constant), factor))?.[0];

/** The value that a chain of Reshapes shows. */
export function withoutReshape(value: Value): Value {
  const reshape = producerOf(value, 'Reshape');
  return reshape ? withoutReshape(reshape.input(0)) : value;
}

/** Every value that shows the elements of `value` in the same order: itself and its Reshapes. */
export function viewsOf(value: Value): Value[] {
  const source = withoutReshape(value);
  const reshapes = (of: Value): Value[] =>
    of.consumers.flatMap((node) =>
      node.opType === 'Reshape' && node.input(0) === of ? [node.output(), ...reshapes(node.output())] : [],
    );
  return [source, ...reshapes(source)];
}

const isOnes = (value: Value): boolean =>
  value.constant?.dtype === 'float32' &&
  value.constant.dims.length === 1 &&
  value.constant.toNumbers().every((element) => element === 1);

/** Values that hold the sums of the columns of `value`, written as ones x value with `columns` columns. */
export const columnSumsOf = (value: Value, columns: number): Value[] =>
  viewsOf(value).flatMap((view) =>
    view.consumers.flatMap((node) =>
      node.opType === 'MatMul' && node.input(1) === view && view.shape?.at(-1) === columns && isOnes(node.input(0))
        ? [node.output()]
        : [],
    ),
  );
