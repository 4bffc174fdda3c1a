/** @file The nodes that replace a float product or look-up by its int8 form. */
import { int } from '../graph/attribute';
import { DTYPES, MICROSOFT_DOMAIN, Node, ONNX_DOMAIN, Tensor, Value } from '../graph';
import type { Attribute, DType, Graph, Model, Shape } from '../graph';
import { MICROSOFT_OPS } from '../ops';
import type { Bias, LinearSite, TableSite } from './sites';

/**
 * How a dynamically quantized product is written.
 * `matmul-integer`: standard ONNX (DynamicQuantizeLinear, MatMulInteger, Cast, Mul, Add); products that read the same
 * value share one quantization of it. ONNX Runtime fuses it when it loads the model.
 * `dynamic-quantize-matmul`: one com.microsoft.DynamicQuantizeMatMul each, which quantizes its input itself.
 */
export const EMISSION_FORMS = ['matmul-integer', 'dynamic-quantize-matmul'] as const;
export type EmissionForm = (typeof EMISSION_FORMS)[number];

/** An int8 weight in the graph: values [in, out] (table: [rows, width]) and scales. */
export interface Int8Weight {
  readonly values: Value;
  readonly scales: Value;
}

interface QuantizedActivation {
  readonly values: Value;
  readonly scale: Value;
  readonly zeroPoint: Value;
}

/** Writes nodes into a model, in front of the float nodes that they are to replace. */
export class SiteEmitter {
  protected readonly graph: Graph;

  constructor(private readonly model: Model) {
    this.graph = model.graph;
  }

  /** The bias as a vector, its factor applied: the same initializer if nothing else reads it. */
  biasVector({ value, factor }: Bias): Value {
    const given = value.constant as Tensor<'float32'>;
    const dims = [given.size];
    if (factor === 1 && given.dims.length === 1) return value;
    const vector = Tensor.float32(
      dims,
      given.data.map((x) => x * factor),
    );
    if (value.uses.size > 1) return this.constant(`${value.name}_vector`, vector);
    value.constant = vector;
    value.shape = dims;
    return value;
  }

  /** A new initializer with a name like `hint`. */
  constant(hint: string, tensor: Tensor): Value {
    return this.graph.addInitializer(this.graph.uniqueName(hint), tensor);
  }

  /** Gives a value a name like `hint`. */
  rename(value: Value, hint: string): void {
    this.graph.renameValue(value, this.graph.uniqueName(hint));
  }

  /** One output node in front of `before`; returns its output. */
  node(
    before: Node,
    opType: string,
    inputs: readonly (Value | null)[],
    type: readonly [DType, Shape | undefined],
    attributes: ReadonlyMap<string, Attribute> = new Map(),
  ): Value {
    return this.nodes(before, opType, inputs, [type], attributes)[0];
  }

  /** A node in front of `before` with an output for each type. */
  nodes(
    before: Node,
    opType: string,
    inputs: readonly (Value | null)[],
    types: readonly (readonly [DType, Shape | undefined])[],
    attributes: ReadonlyMap<string, Attribute> = new Map(),
  ): Value[] {
    const name = this.graph.uniqueName(`${before.name || before.output().name}_${opType}`);
    const outputs = types.map(
      ([dtype, shape], i) => new Value(i === 0 ? name : this.graph.uniqueName(`${name}.${i}`), { dtype, shape }),
    );
    const domain = Object.hasOwn(MICROSOFT_OPS, opType) ? MICROSOFT_DOMAIN : ONNX_DOMAIN;
    if (domain === MICROSOFT_DOMAIN) this.model.opsets.set(MICROSOFT_DOMAIN, 1);
    this.graph.addNode(new Node(opType, domain, name, inputs, outputs, new Map(attributes)), before);
    return outputs;
  }
}

/** Writes a product with an int8 weight; `weight.scales` is [out] and includes the site's factor. */
export type LinearForm = (emit: Int8Emitter, site: LinearSite, weight: Int8Weight, bias: Value | undefined) => Value;

/** Writes products and look-ups of int8 weights. */
export class Int8Emitter extends SiteEmitter {
  private readonly activations = new Map<Value, QuantizedActivation>();

  constructor(
    model: Model,
    private readonly form: LinearForm,
  ) {
    super(model);
  }

  /** Value of y = scale * (x W) + bias in int8. */
  linear(site: LinearSite, weight: Int8Weight): Value {
    return this.form(this, site, weight, site.bias && this.biasVector(site.bias));
  }

  /** Value of a look-up: gathers int8 rows and their scales ([rows, 1]), and multiplies them. */
  table(site: TableSite, weight: Int8Weight): Value {
    const indices = site.node.input(1);
    const shape = site.output.shape;
    const rows = this.node(site.node, 'Gather', [weight.values, indices], ['int8', shape]);
    const scaleShape = shape && [...shape.slice(0, -1), 1];
    const scales = this.node(site.node, 'Gather', [weight.scales, indices], ['float32', scaleShape]);
    const floats = this.node(site.node, 'Cast', [rows], ['float32', shape], TO_FLOAT);
    return this.node(site.node, 'Mul', [floats, scales], ['float32', shape]);
  }

  /** An int8 matrix read through a Transpose, so that one stored copy serves a look-up and a product. */
  transposed(before: Node, values: Value): Value {
    const shape = [...(values.shape ?? [])].reverse();
    return this.node(before, 'Transpose', [values], ['int8', shape]);
  }

  /** The input of a product as uint8 with scale and zero point; made once per value. */
  quantizedActivation(site: LinearSite): QuantizedActivation {
    const input = site.node.input(0);
    const known = this.activations.get(input);
    if (known) return known;
    const [values, scale, zeroPoint] = this.nodes(
      site.node,
      'DynamicQuantizeLinear',
      [input],
      [
        ['uint8', input.shape],
        ['float32', []],
        ['uint8', []],
      ],
    );
    const made = { values, scale, zeroPoint };
    this.activations.set(input, made);
    return made;
  }
}

/** How each form is written. */
export const DYNAMIC_FORMS: Readonly<Record<EmissionForm, LinearForm>> = {
  /** y = float(xq Wq) * (sx * sw) + b, with xq = DynamicQuantizeLinear(x). */
  'matmul-integer': (emit, site, weight, bias) => {
    const { node, output } = site;
    const activation = emit.quantizedActivation(site);
    const inputs = [activation.values, weight.values, activation.zeroPoint];
    const product = emit.node(node, 'MatMulInteger', inputs, ['int32', output.shape]);
    const floats = emit.node(node, 'Cast', [product], ['float32', output.shape], TO_FLOAT);
    const scale = emit.node(node, 'Mul', [activation.scale, weight.scales], ['float32', weight.scales.shape]);
    const scaled = emit.node(node, 'Mul', [floats, scale], ['float32', output.shape]);
    return bias ? emit.node(node, 'Add', [scaled, bias], ['float32', output.shape]) : scaled;
  },
  'dynamic-quantize-matmul': (emit, site, weight, bias) => {
    const inputs = [site.node.input(0), weight.values, weight.scales, ...(bias ? [null, bias] : [])];
    const type = ['float32', site.output.shape] as const;
    return emit.node(site.node, 'DynamicQuantizeMatMul', inputs, type);
  },
};

const TO_FLOAT: ReadonlyMap<string, Attribute> = new Map([['to', int(DTYPES.float32.onnx)]]);
