import { constantOf } from './constant-value';
import type { Node, Tensor } from '../graph';
import type { OpRule } from './rule';
import { unsupportedForm } from './shapes';

/** The identity: training multiplies by masks that are graph inputs instead, so that runs can be repeated and resumed. */
function checkInference(node: Node): void {
  const training = node.inputs[2];
  if (training && constantOf(training)?.toNumbers()[0] !== 0) {
    throw unsupportedForm(node, 'is in training mode; export the model in inference mode.');
  }
}

export const Dropout: OpRule = {
  infer: ({ node, type }) => {
    checkInference(node);
    return [type(0), { dtype: 'bool', shape: type(0).shape }];
  },
  grad: ({ outputGrads }) => outputGrads.slice(0, 1),
  evaluate: (_, [x]): readonly Tensor[] => [x!],
};
