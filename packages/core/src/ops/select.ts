/** @file Ops that choose between values: Where and Clip. */
import type { Value } from '../graph';
import { commonDtype } from './binary';
import { mapElements } from './elements';
import { perOutput } from './flops';
import { unbroadcast } from './gradient';
import type { OpRule } from './rule';
import { broadcast } from './shapes';

/** Where picks x where the condition holds, else y. */
export const Where: OpRule = {
  infer: (context) => [
    {
      dtype: commonDtype(context, [1, 2]),
      shape: [1, 2].map(context.shape).reduce((a, b) => broadcast(context.node, a, b), context.shape(0)),
    },
  ],
  grad: ({ build, node, outputGrads, wants }) => {
    const side = (index: 1 | 2): Value | null => {
      if (!wants(index)) return null;
      const pair = index === 1 ? [outputGrads[0]!, build.scalar(0)] : [build.scalar(0), outputGrads[0]!];
      return unbroadcast(build, build.op('Where', [node.input(0), ...pair]), node.input(index));
    };
    return [null, side(1), side(2)];
  },
  flops: perOutput(1),
  evaluate: (_, [condition, x, y]) => [mapElements(x!.dtype, [condition!, x!, y!], (c, a, b) => (c !== 0 ? a : b))],
};

/** Clip to [min, max]; both optional. The gradient passes where the value was inside, and goes to the bound elsewhere. */
export const Clip: OpRule = {
  infer: (context) => [context.type(0)],
  grad: ({ build, node, outputGrads, wants }) => {
    const g = outputGrads[0]!;
    const [x, low, high] = [node.input(0), node.inputs[1], node.inputs[2]];
    const below = low ? build.op('Less', [x, low]) : null;
    const above = high ? build.op('Greater', [x, high]) : null;
    const outside = below && above ? build.op('Or', [below, above]) : (below ?? above);
    const zero = build.scalar(0);
    const boundGrad = (index: 1 | 2, mask: Value | null): Value | null =>
      mask && wants(index) ? unbroadcast(build, build.op('Where', [mask, g, zero]), node.input(index)) : null;
    return [outside ? build.op('Where', [outside, zero, g]) : g, boundGrad(1, below), boundGrad(2, above)];
  },
  flops: perOutput(2),
  evaluate: (_, [x, low, high]) => {
    const least = low ? low.toNumbers()[0] : -Infinity;
    const most = high ? high.toNumbers()[0] : Infinity;
    return [mapElements(x!.dtype, [x!], (v) => Math.min(most, Math.max(least, v)))];
  },
};
