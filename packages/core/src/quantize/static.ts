/** @file Int8 products on fixed activation grids, written as QuantizeLinear and DequantizeLinear pairs. */
import { ModelpressError } from '../errors';
import { int, Tensor } from '../graph';
import type { Attribute, Node, Value } from '../graph';
import type { Int8Emitter, LinearForm } from './emit';
import type { StaticMethod } from './method';

/** Of a value, per tensor: q = clip(round(x / scale) + zeroPoint, 0, 255). */
export interface ActivationGrid {
  readonly scale: number;
  readonly zeroPoint: number;
}

/**
 * y = DQ(Q(x)) DQ(Wq) + b. ONNX Runtime turns it into QuantizeLinear and MatMulIntegerToFloat when it loads the model,
 * and with int8 outputs, y = DQ(Q(DQ(Q(x)) DQ(Wq))) + b, into QLinearMatMul. Values on the same grid are quantized once.
 */
export function staticForm({ grids, outputs }: StaticMethod): LinearForm {
  const known = new Map<Value, Value>();
  const gridOf = (value: Value): ActivationGrid => {
    const grid = grids.get(value.name);
    if (grid) return grid;
    throw new ModelpressError('internal', 'quantize.no-range', `The activation "${value.name}" was not calibrated.`);
  };
  return (emit, { node, output }, weight, bias) => {
    const input = node.input(0);
    const x = known.get(input) ?? onGrid(emit, node, input, gridOf(input));
    known.set(input, x);
    const zeros = emit.constant(
      'zeros',
      Tensor.of('int8', weight.scales.shape as number[], new Int8Array(weight.scales.constant!.size)),
    );
    const w = emit.node(
      node,
      'DequantizeLinear',
      [weight.values, weight.scales, zeros],
      ['float32', weight.values.shape],
      AXIS_1,
    );
    const product = emit.node(node, 'MatMul', [x, w], ['float32', output.shape]);
    const y = outputs === 'int8' ? onGrid(emit, node, product, gridOf(node.output())) : product;
    return bias ? emit.node(node, 'Add', [y, bias], ['float32', output.shape]) : y;
  };
}

const AXIS_1: ReadonlyMap<string, Attribute> = new Map([['axis', int(1)]]);

/** DQ(Q(x)) */
function onGrid(emit: Int8Emitter, before: Node, value: Value, { scale, zeroPoint }: ActivationGrid): Value {
  const grid = [
    emit.constant(`${value.name}_scale`, Tensor.scalar(scale)),
    emit.constant(`${value.name}_zero_point`, Tensor.of('uint8', [], Uint8Array.of(zeroPoint))),
  ];
  const q = emit.node(before, 'QuantizeLinear', [value, ...grid], ['uint8', value.shape]);
  return emit.node(before, 'DequantizeLinear', [q, ...grid], ['float32', value.shape]);
}
