/** A dimension: a number, or the name of a symbolic dimension such as `batch`. */
export type Dim = number | string;

/** Dimensions of a value, outermost first; `[]` is a scalar. */
export type Shape = readonly Dim[];

/** Whether every dimension is a number. */
export const isStatic = (shape: Shape): shape is readonly number[] => shape.every((dim) => typeof dim === 'number');

/** Number of elements of a static shape. */
export const sizeOf = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((dim, i) => dim === b[i]);

/** `[2,batch,768]`, as used by print and error messages. */
export const formatShape = (shape: Shape): string => `[${shape.join(',')}]`;
