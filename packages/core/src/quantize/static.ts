/** @file Int8 products on fixed activation grids, written as QuantizeLinear and DequantizeLinear pairs. */
import { ModelpressError } from '../errors';
import { int, Tensor } from '../graph';
import type { Attribute, Node, Value } from '../graph';
import type { Int8Emitter, Int8Weight, LinearForm } from './emit';
import type { StaticMethod } from './method';

/** Of a value, per tensor: q = clip(round(x / scale) + zeroPoint, 0, 255). */
export interface ActivationGrid {
  readonly scale: number;
  readonly zeroPoint: number;
}

/**
 * y = DQ(Q(x)) DQ(Wq) + b. ONNX Runtime turns it into QuantizeLinear and MatMulIntegerToFloat when it loads the model,
 * and with int8 outputs, y = DQ(Q(DQ(Q(x)) DQ(Wq))) + b, into QLinearMatMul. A product of two matrices with a bias it
 * would first make a Gemm, so that is written as one with an int32 bias, which becomes QGemm. Values on the same grid
 * are quantized once.
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
    const grid = gridOf(input);
    const x = known.get(input) ?? onGrid(emit, node, input, grid);
    known.set(input, x);
    const w = dequantized(emit, node, weight.values, weight.scales, AXIS_1);
    const type = ['float32', output.shape] as const;
    if (bias && input.shape?.length === 2 && outputs === 'float') {
      return emit.node(node, 'Gemm', [x, w, int32Bias(emit, node, bias, weight, grid)], type);
    }
    const product = emit.node(node, 'MatMul', [x, w], type);
    const y = outputs === 'int8' ? onGrid(emit, node, product, gridOf(node.output())) : product;
    return bias ? emit.node(node, 'Add', [y, bias], type) : y;
  };
}

/**
 * The bias in steps of the product's own scale, S_x S_w: what the integer sums are counted in. It takes the float one's
 * name unless that is read elsewhere, too.
 */
function int32Bias(
  emit: Int8Emitter,
  before: Node,
  bias: Value,
  { scales }: Int8Weight,
  { scale }: ActivationGrid,
): Value {
  const steps = (scales.constant as Tensor<'float32'>).data.map((s) => s * scale);
  const floats = (bias.constant as Tensor<'float32'>).data;
  const { name } = bias;
  if (bias.uses.size === 1) emit.rename(bias, `${name}_float32`);
  const values = emit.constant(
    name,
    Tensor.of(
      'int32',
      [floats.length],
      Int32Array.from(floats, (b, i) => Math.round(b / steps[i])),
    ),
  );
  return dequantized(
    emit,
    before,
    values,
    emit.constant(`${name}_scale`, Tensor.float32([steps.length], steps)),
    AXIS_0,
  );
}

/** DQ(q) with a scale for each index of an axis. The zero points are written out: ONNX Runtime fuses no Gemm without. */
function dequantized(
  emit: Int8Emitter,
  before: Node,
  values: Value,
  scales: Value,
  axis: ReadonlyMap<string, Attribute>,
): Value {
  const { dtype, dims } = { dtype: values.dtype as 'int8' | 'int32', dims: scales.constant!.dims };
  const none = dtype === 'int8' ? new Int8Array(dims[0]) : new Int32Array(dims[0]);
  const zeros = emit.constant(`${values.name}_zero_point`, Tensor.of(dtype, dims, none));
  return emit.node(before, 'DequantizeLinear', [values, scales, zeros], ['float32', values.shape], axis);
}

const AXIS_0: ReadonlyMap<string, Attribute> = new Map([['axis', int(0)]]);
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
