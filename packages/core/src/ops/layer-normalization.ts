import { isFloat } from '../graph';
import type { Value } from '../graph';
import { perOutput } from './flops';
import { reshape, sumRows } from './gradient';
import type { OpRule } from './rule';
import { dtypeError, normalizeAxis, staticShape } from './shapes';

/**
 * Y = (X - mean) / sqrt(variance + epsilon) * scale + bias over the dimensions from `axis` on. Outputs Mean and
 * InvStdDev, kept as 1 along those dimensions, are float32 whatever the input.
 */
export const LayerNormalization: OpRule = {
  infer: ({ node, type, shape }) => {
    const { dtype } = type(0);
    if (!isFloat(dtype)) throw dtypeError(node, `needs a floating-point input, got ${dtype}.`);
    const dims = shape(0);
    const axis = normalizeAxis(node, node.attribute('axis', 'int', -1), dims.length);
    const reduced = dims.map((dim, i) => (i < axis ? dim : 1));
    return [
      { dtype, shape: dims },
      { dtype: 'float32', shape: reduced },
      { dtype: 'float32', shape: reduced },
    ];
  },
  /**
   * With xh = (x - mean) inv and d = g scale:
   *   dx = (d - mean(d) - xh mean(d xh)) inv,  dscale = sum over rows of g xh,  dbias = sum over rows of g.
   * Both means are matrix-vector products with scale / n, which saves two passes over the rows.
   */
  grad: ({ build, node, outputGrads, wants }) => {
    const g = outputGrads[0]!;
    const [x, scale] = [node.input(0), node.input(1)];
    const [mean, inverse] = build.extendOutputs(node, 3).slice(1) as [Value, Value];
    const dims = staticShape(x, node);
    const axis = normalizeAxis(node, node.attribute('axis', 'int', -1), dims.length);
    const width = dims.slice(axis).reduce((product, dim) => product * dim, 1);
    const rows = [dims.slice(0, axis).reduce((product, dim) => product * dim, 1), width];
    const normalized = build.op('Mul', [build.op('Sub', [x, mean]), inverse]);
    const weighted = build.op('Mul', [g, normalized]);
    const gradX = (): Value => {
      const share = build.op('Mul', [reshape(build, scale, [width, 1]), build.scalar(1 / width)]);
      const average = (value: Value): Value =>
        reshape(build, build.op('MatMul', [reshape(build, value, rows), share]), staticShape(mean));
      const slope = build.op('Mul', [normalized, average(weighted)]);
      const centred = build.op('Sub', [build.op('Sub', [build.op('Mul', [g, scale]), average(g)]), slope]);
      return build.op('Mul', [centred, inverse]);
    };
    const perColumn = (value: Value, target: Value): Value =>
      reshape(build, sumRows(build, reshape(build, value, rows)), staticShape(target));
    return [
      wants(0) ? gradX() : null,
      wants(1) ? perColumn(weighted, scale) : null,
      node.inputs[2] && wants(2) ? perColumn(g, node.input(2)) : null,
    ];
  },
  flops: perOutput(8),
};
