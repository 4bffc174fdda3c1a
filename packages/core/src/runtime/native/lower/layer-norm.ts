import { float, sameShape } from '../../../graph';
import type { Model, Node, Value } from '../../../graph';
import type { Pass } from '../../../passes';
import { operandsOf, producerOf, isClose, scalarOf } from '../../../passes/rewrite';
import { cofactor, columnSumsOf, onlyReader, viewsOf, withoutReshape } from './match';
import { substitute } from './substitute';

/**
 * The gradients of a layer normalisation over the last axis, as `ops/layer-normalization` writes them, in two passes over
 * memory instead of ten:
 * ```
 * %n = Mul(Sub(%x, %mean), %inverse)               (%y, %mean, %inverse = LayerNormalization(%x, %scale, %bias))
 * %w = Mul(%g, %n)
 * %c = Sub(Sub(Mul(%g, %scale), average(%g)), Mul(%n, average(%w)))
 * %dx = Mul(%c, %inverse)                     ->   %dx, %dscale, %dbias =
 * %dscale = MatMul(ones, %w)                         modelpress.LayerNormGrad(%x, %g, %scale, %mean, %inverse)
 * %dbias = MatMul(ones, %g)
 * ```
 */
export const lowerLayerNormGradient: Pass = (model) => {
  let modified = false;
  for (const node of model.graph.nodes) {
    if (node.opType !== 'LayerNormalization' || node.outputs.length < 3) continue;
    const gradient = gradientOf(node);
    if (!gradient) continue;
    const { g, weighted, dx } = gradient;
    const [x, scale, mean, inverse] = [node.input(0), node.input(1), node.output(1), node.output(2)];
    const columns = Number(x.shape!.at(-1));
    const [dscale = null] = columnSumsOf(weighted, columns);
    const [dbias = null] = columnSumsOf(g, columns);
    substitute(model, weighted.producer!, {
      op: 'LayerNormGrad',
      inputs: [x, g, scale, mean, inverse],
      replaces: [dx, dscale, dbias],
    });
    modified = true;
  }
  return { modified };
};

interface Gradient {
  readonly g: Value;
  /** g times the normalised values. */
  readonly weighted: Value;
  readonly dx: Value;
}

function gradientOf(norm: Node): Gradient | undefined {
  const [x, scale, mean, inverse] = [norm.input(0), norm.input(1), norm.output(1), norm.output(2)];
  const axis = norm.attribute('axis', 'int', -1);
  if (!x.shape || x.dtype !== 'float32' || (axis !== -1 && axis !== x.shape.length - 1)) return undefined;
  const normalized = inverse.consumers.map((node) => node.output()).find((value) => isCentred(value, x, mean, inverse));
  const products = normalized?.consumers.map((node) => node.output()) ?? [];
  for (const weighted of products) {
    const g = cofactor(weighted, normalized!);
    const dx =
      g &&
      inverse.consumers
        .map((node) => node.output())
        .find((value) => {
          const centred = producerOf(cofactor(value, inverse), 'Sub');
          const difference = producerOf(centred?.input(0), 'Sub');
          const slope = centred && cofactor(centred.input(1), normalized!);
          return (
            difference &&
            slope &&
            cofactor(difference.input(0), scale) === g &&
            isAverage(difference.input(1), g, scale) &&
            isAverage(slope, weighted, scale)
          );
        });
    if (dx) return { g, weighted, dx };
  }
  return undefined;
}

/** Whether `value` is (x - mean) inverse. */
function isCentred(value: Value, x: Value, mean: Value, inverse: Value): boolean {
  const difference = producerOf(cofactor(value, inverse), 'Sub');
  return difference?.input(0) === x && difference.input(1) === mean;
}

/** Whether `value` holds the means of the rows of `of` times scale: of x scale / n, as a matrix-vector product. */
function isAverage(value: Value, of: Value, scale: Value): boolean {
  const product = producerOf(withoutReshape(value), 'MatMul');
  if (!product || !viewsOf(of).includes(product.input(0))) return false;
  return operandsOf(product.input(1).producer, 'Mul').some(
    ([vector, share]) =>
      withoutReshape(vector) === scale && isClose(scalarOf(share), 1 / Number(of.shape?.at(-1) ?? NaN)),
  );
}

/**
 * What a transformer's block adds to the residual stream, its dropout and the normalisation behind it in one pass:
 * ```
 * %s = Add(Mul(%x, %mask), %residual)
 * %y, %mean, %inverse = LayerNormalization(%s, %scale, %bias)
 *                           ->   %y, %mean, %inverse, %s = modelpress.ResidualNorm(%x, %residual, %scale, %bias, %mask)
 * ```
 * The product with the mask may be absent.
 */
export const lowerResidualNorm: Pass = (model) => {
  let modified = false;
  for (const node of model.graph.nodes) modified = fuseResidual(model, node) || modified;
  return { modified };
};

function fuseResidual(model: Model, norm: Node): boolean {
  if (norm.opType !== 'LayerNormalization' || norm.inputs.length < 3) return false;
  const [sum, scale, bias] = [norm.input(0), norm.input(1), norm.input(2)];
  const axis = norm.attribute('axis', 'int', -1);
  const isLast = sum.shape !== undefined && (axis === -1 || axis === sum.shape.length - 1);
  if (!isLast || sum.dtype !== 'float32' || sum.producer?.opType !== 'Add') return false;
  const addition = sum.producer;
  const terms = [addition.input(0), addition.input(1)];
  if (!terms.every((value) => isSameShape(value, sum)) || scale.producer || bias.producer) return false;
  const branch = terms.findIndex((value) => maskedBy(value));
  const residual = branch === 0 ? terms[1] : terms[0];
  const [x, mask = null] = branch < 0 ? [terms[1]] : maskedBy(terms[branch])!;
  substitute(model, addition, {
    op: 'ResidualNorm',
    inputs: [x, residual, scale, bias, ...(mask ? [mask] : [])],
    replaces: [norm.output(0), norm.outputs[1] ?? null, norm.outputs[2] ?? null, sum.uses.size > 1 ? sum : null],
    attributes: { epsilon: float(norm.attribute('epsilon', 'float', 1e-5)) },
  });
  return true;
}

/** [x, mask], if `value` is their product, equal in shape, and read once. */
function maskedBy(value: Value): readonly [Value, Value] | undefined {
  const product = producerOf(value, 'Mul');
  if (!product || !onlyReader(value)) return undefined;
  const [x, mask] = [product.input(0), product.input(1)];
  return isSameShape(x, value) && isSameShape(mask, value) ? [x, mask] : undefined;
}

const isSameShape = (a: Value, b: Value): boolean =>
  a.dtype === b.dtype && a.shape !== undefined && b.shape !== undefined && sameShape(a.shape, b.shape);
