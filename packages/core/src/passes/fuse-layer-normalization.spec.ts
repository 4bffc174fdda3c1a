import { Graph, Model, ONNX_DOMAIN, Tensor } from '../graph';
import type { Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { removeDeadCode } from './dead-code';
import { fuseLayerNormalization } from './fuse-layer-normalization';
import { sequence } from './pass';
import { applied, feedsOf, largestDifference, nodesOf, run } from './testing';

interface Variant {
  readonly axes?: readonly number[];
  readonly squareByMul?: boolean;
  readonly swapped?: boolean;
  readonly scaleDims?: readonly number[];
  readonly secondReader?: boolean;
}

function written({ axes = [-1], squareByMul, swapped, scaleDims = [6], secondReader }: Variant): Model {
  const build = new GraphBuilder(new Model(new Graph()));
  const x = build.input('x', 'float32', [2, 3, 6]);
  const vector = (name: string): Value =>
    build.parameter(
      name,
      Tensor.float32(
        scaleDims,
        Float32Array.from({ length: 6 }, (_, i) => i / 3 - 1),
      ),
    );
  const ordered = (a: Value, b: Value): Value[] => (swapped ? [b, a] : [a, b]);
  const mean = (value: Value): Value => build.op('ReduceMean', [value, build.int64s(axes)]);
  const centred = build.op('Sub', [x, mean(x)]);
  const square = squareByMul ? build.op('Mul', [centred, centred]) : build.op('Pow', [centred, build.scalar(2)]);
  const deviation = build.op('Sqrt', [build.op('Add', ordered(mean(square), build.scalar(1e-5)))]);
  const scaled = build.op('Mul', ordered(build.op('Div', [centred, deviation]), vector('g')));
  build.output(build.op('Add', ordered(scaled, vector('b'))), 'y');
  if (secondReader) build.output(build.op('Relu', [deviation]), 'z');
  return build.model;
}

const fuse = sequence(fuseLayerNormalization, removeDeadCode);

describe('fuseLayerNormalization', () => {
  it.each<Variant>([{}, { squareByMul: true }, { swapped: true }, { axes: [2] }])(
    'recognises layer normalization written as %j',
    async (variant) => {
      const model = written(variant);
      const fused = applied(fuse, model);
      expect(nodesOf(fused)).toEqual([
        '%y: float32[2,3,6] = LayerNormalization(%x, %g, %b) {axis: -1, epsilon: 0.00001}',
      ]);
      const [before, after] = await Promise.all([model, fused].map((each) => run(each, feedsOf(model))));
      expect(largestDifference(before.y, after.y)).toBeLessThan(1e-6);
    },
  );

  it('keeps what else reads the parts', () => {
    const ops = applied(fuse, written({ secondReader: true })).graph.nodes.map(({ opType }) => opType);
    expect(ops).toContain('LayerNormalization');
    expect(ops).toContain('Sqrt');
    expect(ops).not.toContain('Div');
  });

  it.each<Variant>([{ axes: [1] }, { axes: [1, 2] }, { scaleDims: [1, 6] }])('leaves %j alone', (variant) => {
    expect(fuseLayerNormalization(written(variant))).toEqual({ modified: false });
  });

  it('waits for the opset that has the op', () => {
    const model = written({});
    model.opsets.set(ONNX_DOMAIN, 16);
    expect(fuseLayerNormalization(model)).toEqual({ modified: false });
  });
});
