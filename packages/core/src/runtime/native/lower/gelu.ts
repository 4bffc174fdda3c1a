import { float, int, ONNX_DOMAIN } from '../../../graph';
import type { Attribute, Node, Value } from '../../../graph';
import type { Pass } from '../../../passes';
import { operandsOf, producerOf, scalarOf } from '../../../passes/rewrite';
import { onlyReader, scaledBy } from './match';
import { substitute } from './substitute';

/**
 * One pass over memory instead of eight, for GELU and for its exact gradient as `ops/unary` writes it:
 * ```
 * %y = Gelu(%x)                                    ->   %y = modelpress.Gelu(%x)
 *
 * %u = Mul(%x, sqrt(1/2))
 * %b = Mul(Div(%u, Exp(Mul(%u, %u))), 2 / sqrt(pi))
 * %d = Mul(Add(Add(Erf(%u), 1), %b), %half)        ->   %d = modelpress.GeluGrad(%x, 2 %half)
 * ```
 * The factor 2 is taken from the product that made %half.
 */
export const lowerGelu: Pass = (model) => {
  let modified = false;
  for (const node of model.graph.nodes) {
    if (isGelu(node)) {
      substitute(model, node, {
        op: 'Gelu',
        inputs: [node.input(0)],
        replaces: [node.output()],
        attributes: formOf(node),
      });
      modified = true;
    }
    const gradient = gradientFrom(node);
    const g = gradient && doubled(gradient.half);
    if (g) {
      const { x, last } = gradient;
      substitute(model, last, { op: 'GeluGrad', inputs: [x, g], replaces: [last.output()] });
      modified = true;
    }
  }
  return { modified };
};

const isGelu = (node: Node): boolean =>
  node.opType === 'Gelu' && node.domain === ONNX_DOMAIN && node.input(0).dtype === 'float32';

const formOf = (gelu: Node): Record<string, Attribute> =>
  gelu.attribute('approximate', 'string', 'none') === 'tanh' ? { tanh: int(1) } : {};

interface GeluGradient {
  readonly x: Value;
  /** Half of the gradient of y. */
  readonly half: Value;
  /** The node that makes the gradient of x. */
  readonly last: Node;
}

/** The gradient that an Erf is part of. */
function gradientFrom(erf: Node): GeluGradient | undefined {
  if (erf.opType !== 'Erf' || erf.domain !== ONNX_DOMAIN) return undefined;
  const u = erf.input(0);
  const x = scaledBy(u, Math.SQRT1_2);
  const sum = onlyReader(erf.output());
  const total = sum && operandsOf(sum, 'Add').some(([, one]) => scalarOf(one) === 1) && onlyReader(sum.output());
  const bump = total && operandsOf(total, 'Add').find(([a]) => a === sum.output())?.[1];
  const last = bump && isBump(bump, u) && onlyReader(total.output());
  const half = last && operandsOf(last, 'Mul').find(([a]) => a === total.output())?.[1];
  return x && half ? { x, half, last } : undefined;
}

/** Whether `value` is 2 / sqrt(pi) u exp(-u^2). */
function isBump(value: Value, u: Value): boolean {
  const quotient = producerOf(scaledBy(value, 2 / Math.sqrt(Math.PI)), 'Div');
  const exponential = quotient?.input(0) === u ? producerOf(quotient.input(1), 'Exp') : undefined;
  return producerOf(exponential?.input(0), 'Mul')?.inputs.every((input) => input === u) ?? false;
}

/** 2 value, by taking back a factor 1/2 that it was made with; undefined where there is none. Changes that product. */
function doubled(value: Value): Value | undefined {
  const whole = scaledBy(value, 0.5);
  if (whole) return whole;
  const reshape = producerOf(value, 'Reshape');
  const product = (reshape?.input(0) ?? value).producer;
  const isOnlyHere = onlyReader(value) && (!reshape || onlyReader(reshape.input(0)));
  const alpha = product?.attributes.get('alpha');
  if (!isOnlyHere || product?.inputs.length !== 2 || alpha?.type !== 'float') return undefined;
  product.attributes.set('alpha', float(2 * alpha.value));
  return value;
}
