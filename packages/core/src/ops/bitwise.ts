/** @file Ops on the bits of unsigned integers: packed weights are unpacked with them. */
import { perOutput } from './flops';
import type { OpRule } from './rule';
import { broadcast, dtypeError } from './shapes';

const bitwise: OpRule = {
  infer: ({ node, type, shape }) => {
    const { dtype } = type(0);
    if (type(1).dtype !== dtype || /float|bool/.test(dtype)) {
      throw dtypeError(node, `needs two integers of one type, not ${dtype} and ${type(1).dtype}.`);
    }
    return [{ dtype, shape: broadcast(node, shape(0), shape(1)) }];
  },
  grad: 'none',
  flops: perOutput(1),
};

export const BITWISE_OPS = {
  BitShift: bitwise,
  BitwiseAnd: bitwise,
  BitwiseOr: bitwise,
} satisfies Record<string, OpRule>;
