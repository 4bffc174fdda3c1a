import { describeWithShared, sharedPath } from '../../../../tools/shared-fixtures';
import { readModelFile } from '../onnx';
import { specialise } from '../passes';
import { GraphBuilder } from './builder';
import { costOf } from './cost';
import { Graph, Model } from './graph';
import { Tensor } from './tensor';

describe('costOf', () => {
  it('counts operations, traffic, weights and live memory', () => {
    const build = new GraphBuilder(new Model(new Graph()));
    const x = build.input('x', 'float32', [8, 16]);
    const w = build.parameter('w', Tensor.float32([16, 4], new Float32Array(64)));
    const h = build.op('MatMul', [x, w]);
    const r = build.op('Relu', [build.op('Reshape', [h, build.int64s([4, 8])])]);
    build.output(build.op('Relu', [r]), 'y');
    const cost = costOf(build.model);

    expect(cost.nodes.map(({ node, flops }) => [node.opType, flops])).toEqual([
      ['MatMul', 2 * 8 * 16 * 4],
      ['Reshape', 0],
      ['Relu', 32],
      ['Relu', 32],
    ]);
    const matmulBytes = 4 * (8 * 16 + 16 * 4 + 8 * 4);
    expect(cost.nodes.map(({ bytes }) => bytes)).toEqual([matmulBytes, 0, 256, 256]);
    expect(cost.parameters).toBe(64);
    expect(cost.parameterBytes).toBe(256);
    // at most two of the four [8,4] results are needed at once
    expect(cost.peakActivationBytes).toBe(2 * 128);
  });

  it('names the value whose shape is open', () => {
    const build = new GraphBuilder(new Model(new Graph()));
    build.output(build.op('Relu', [build.input('x', 'float32', ['batch'])]), 'y');
    expect(() => costOf(build.model)).toThrow(expect.objectContaining({ code: 'ops.dynamic-shape' }));
  });
});

describeWithShared('costOf of an exported BERT', () => {
  it('agrees with the formula for transformers', async () => {
    const model = await readModelFile(sharedPath('fixtures', 'onnx', 'bert-legacy-op17', 'model.onnx'));
    const [batch, length, hidden, inner, layers] = [4, 16, 64, 256, 2];
    const cost = costOf(specialise(model, { batch, sequence: length }));
    const tokens = batch * length;
    const linear = layers * 2 * tokens * (4 * hidden * hidden + 2 * hidden * inner);
    const attention = layers * 2 * 2 * batch * length * length * hidden;
    const head = 2 * batch * (hidden * hidden + hidden * 3);
    const products = cost.nodes.filter(({ node }) => node.opType === 'MatMul' || node.opType === 'Gemm');
    const matrixFlops = products.reduce((sum, { flops }) => sum + flops, 0);
    expect(matrixFlops / (linear + attention + head)).toBeCloseTo(1, 3);
    expect(cost.flops / matrixFlops).toBeLessThan(1.1);
    // embeddings 2000 + 64 + 2 rows, 5 layer norms, and so on: what the checkpoint holds
    expect(cost.parameters).toBe(236_675);
  });
});
