import { DTYPES, dtypeFromOnnx, isFloat } from '../graph';
import type { DType, Node } from '../graph';
import { mapElements } from './elements';
import type { OpRule } from './rule';
import { dtypeError } from './shapes';

function target(node: Node): DType {
  const code = node.attribute('to', 'int');
  const dtype = code === undefined ? undefined : dtypeFromOnnx(code);
  if (!dtype) throw dtypeError(node, `casts to element type ${code}, which is not supported.`);
  return dtype;
}

/** Changes the element type. Gradients flow between floating-point types only. */
export const Cast: OpRule = {
  infer: (context) => [{ dtype: target(context.node), shape: context.type(0).shape }],
  grad: ({ build, node, outputGrads }) => {
    const { dtype } = node.input(0);
    if (!dtype || !isFloat(dtype)) return [];
    return [build.op('Cast', [outputGrads[0]!], { to: DTYPES[dtype].onnx })];
  },
  evaluate: (node, [x]) => {
    const dtype = target(node);
    return [mapElements(dtype, [x!], (v) => (dtype === 'bool' ? Number(v !== 0) : v))];
  },
};
