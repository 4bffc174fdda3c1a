import type { OpRule } from './rule';
import { unsupportedForm } from './shapes';

/** Named here so that the refusal can say what to do instead. */
export const Einsum: OpRule = {
  infer: ({ node }) => {
    const equation = node.attribute('equation', 'string', '');
    throw unsupportedForm(
      node,
      `Einsum "${equation}" is not supported; export the model with MatMul, Transpose and Reshape instead.`,
    );
  },
  grad: 'forbidden',
};
