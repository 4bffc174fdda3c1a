/** @file The differentiated graphs of the three pieces a transformer is made of, as text. */
import { Graph, Model, Tensor, print } from '../graph';
import type { Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { buildTrainingGraph } from './training-graph';

/** Nodes of the training graph of `output . weights`, where weights is an input. */
function trainingText(
  parameters: readonly string[],
  make: (build: GraphBuilder, x: Value) => Value,
  dims: number[],
): string {
  const build = new GraphBuilder(new Model(new Graph('piece')));
  build.output(make(build, build.input('x', 'float32', dims)), 'y');
  const { model } = buildTrainingGraph(build.model, {
    parameters,
    outputs: [],
    loss: (build, outputs) => {
      const y = outputs.get('y')!;
      const weights = build.input('weights', 'float32', y.shape!);
      return build.op('ReduceSum', [build.op('Mul', [y, weights])], { keepdims: 0 });
    },
  });
  return `\n${print(model)}`;
}

const parameter = (build: GraphBuilder, name: string, ...dims: number[]): Value =>
  build.parameter(name, Tensor.float32(dims, new Float32Array(dims.reduce((product, dim) => product * dim, 1))));

describe('training graphs', () => {
  it('of a linear layer: two Gemms with transposes folded, the bias by ones', () => {
    const text = trainingText(
      ['w', 'b'],
      (build, x) => {
        const hidden = build.op('Tanh', [build.op('MatMul', [x, parameter(build, 'w', 6, 5)])]);
        return build.op('Add', [hidden, parameter(build, 'b', 5)]);
      },
      [2, 4, 6],
    );
    expect(text).toMatchInlineSnapshot(`
"
opset 21
graph piece(%x: float32[2,4,6], %w: float32[6,5], %b: float32[5], %weights: float32[2,4,5]) -> (%grad.w, %grad.b, %loss) {
  %float32.1: float32[] = 1
  %int64s.1_1_1: int64[3] = [1, 1, 1]
  %int64s.2_4_5: int64[3] = [2, 4, 5]
  %int64s.8_5: int64[2] = [8, 5]
  %ones.8: float32[8] = [1, 1, 1, 1, 1, 1, 1, 1]
  %int64s.8_6: int64[2] = [8, 6]
  %MatMul: float32[2,4,5] = MatMul(%x, %w)
  %Tanh: float32[2,4,5] = Tanh(%MatMul)
  %y: float32[2,4,5] = Add(%Tanh, %b)
  %Mul: float32[2,4,5] = Mul(%y, %weights)
  %loss: float32[] = ReduceSum(%Mul) {keepdims: 0}
  %grad.Reshape: float32[1,1,1] = Reshape(%float32.1, %int64s.1_1_1)
  %grad.Expand: float32[2,4,5] = Expand(%grad.Reshape, %int64s.2_4_5)
  %grad.Mul: float32[2,4,5] = Mul(%grad.Expand, %weights)
  %grad.Reshape_2: float32[8,5] = Reshape(%grad.Mul, %int64s.8_5)
  %grad.b: float32[5] = MatMul(%ones.8, %grad.Reshape_2)
  %grad.Mul_3: float32[2,4,5] = Mul(%grad.Mul, %Tanh)
  %grad.Mul_4: float32[2,4,5] = Mul(%grad.Mul_3, %Tanh)
  %grad.Sub: float32[2,4,5] = Sub(%grad.Mul, %grad.Mul_4)
  %grad.Reshape_5: float32[8,5] = Reshape(%grad.Sub, %int64s.8_5)
  %grad.Reshape_6: float32[8,6] = Reshape(%x, %int64s.8_6)
  %grad.w: float32[6,5] = Gemm(%grad.Reshape_6, %grad.Reshape_5) {transA: 1}
}
"
`);
  });

  it('of a layer normalization: the saved mean and inverse deviation, means by matrix-vector products', () => {
    const text = trainingText(
      ['scale', 'bias', 'w'],
      (build, x) => {
        const hidden = build.op('Mul', [x, parameter(build, 'w', 8)]);
        return build.op('LayerNormalization', [hidden, parameter(build, 'scale', 8), parameter(build, 'bias', 8)]);
      },
      [2, 4, 8],
    );
    expect(text).toMatchInlineSnapshot(`
"
opset 21
graph piece(%x: float32[2,4,8], %scale: float32[8], %bias: float32[8], %w: float32[8], %weights: float32[2,4,8]) -> (%grad.scale, %grad.bias, %grad.w, %loss) {
  %float32.1: float32[] = 1
  %int64s.1_1_1: int64[3] = [1, 1, 1]
  %int64s.2_4_8: int64[3] = [2, 4, 8]
  %int64s.8_1: int64[2] = [8, 1]
  %float32.0.125: float32[] = 0.125
  %int64s.8_8: int64[2] = [8, 8]
  %int64s.2_4_1: int64[3] = [2, 4, 1]
  %ones.8: float32[8] = [1, 1, 1, 1, 1, 1, 1, 1]
  %Mul: float32[2,4,8] = Mul(%x, %w)
  %y: float32[2,4,8], %y.1: float32[2,4,1], %y.2: float32[2,4,1] = LayerNormalization(%Mul, %scale, %bias)
  %Mul_1: float32[2,4,8] = Mul(%y, %weights)
  %loss: float32[] = ReduceSum(%Mul_1) {keepdims: 0}
  %grad.Reshape: float32[1,1,1] = Reshape(%float32.1, %int64s.1_1_1)
  %grad.Expand: float32[2,4,8] = Expand(%grad.Reshape, %int64s.2_4_8)
  %grad.Mul: float32[2,4,8] = Mul(%grad.Expand, %weights)
  %grad.Sub: float32[2,4,8] = Sub(%Mul, %y.1)
  %grad.Mul_3: float32[2,4,8] = Mul(%grad.Sub, %y.2)
  %grad.Mul_4: float32[2,4,8] = Mul(%grad.Mul, %grad.Mul_3)
  %grad.Reshape_5: float32[8,1] = Reshape(%scale, %int64s.8_1)
  %grad.Mul_6: float32[8,1] = Mul(%grad.Reshape_5, %float32.0.125)
  %grad.Reshape_7: float32[8,8] = Reshape(%grad.Mul_4, %int64s.8_8)
  %grad.MatMul: float32[8,1] = MatMul(%grad.Reshape_7, %grad.Mul_6)
  %grad.Reshape_8: float32[2,4,1] = Reshape(%grad.MatMul, %int64s.2_4_1)
  %grad.Mul_9: float32[2,4,8] = Mul(%grad.Mul_3, %grad.Reshape_8)
  %grad.Mul_10: float32[2,4,8] = Mul(%grad.Mul, %scale)
  %grad.Reshape_11: float32[8,8] = Reshape(%grad.Mul, %int64s.8_8)
  %grad.MatMul_12: float32[8,1] = MatMul(%grad.Reshape_11, %grad.Mul_6)
  %grad.Reshape_13: float32[2,4,1] = Reshape(%grad.MatMul_12, %int64s.2_4_1)
  %grad.Sub_14: float32[2,4,8] = Sub(%grad.Mul_10, %grad.Reshape_13)
  %grad.Sub_15: float32[2,4,8] = Sub(%grad.Sub_14, %grad.Mul_9)
  %grad.Mul_16: float32[2,4,8] = Mul(%grad.Sub_15, %y.2)
  %grad.scale: float32[8] = MatMul(%ones.8, %grad.Reshape_7)
  %grad.bias: float32[8] = MatMul(%ones.8, %grad.Reshape_11)
  %grad.Mul_19: float32[2,4,8] = Mul(%grad.Mul_16, %x)
  %grad.Reshape_20: float32[8,8] = Reshape(%grad.Mul_19, %int64s.8_8)
  %grad.w: float32[8] = MatMul(%ones.8, %grad.Reshape_20)
}
"
`);
  });

  it('of attention: no Transpose beside those that move the heads', () => {
    const text = trainingText(
      ['q', 'k', 'v'],
      (build, x) => {
        const heads = (name: string, perm: readonly number[]): Value => {
          const projected = build.op('MatMul', [x, parameter(build, name, 8, 8)]);
          return build.op('Transpose', [build.op('Reshape', [projected, build.int64s([2, 4, 2, 4])])], { perm });
        };
        const scores = build.op('MatMul', [heads('q', [0, 2, 1, 3]), heads('k', [0, 2, 3, 1])]);
        const weights = build.op('Softmax', [build.op('Mul', [scores, build.scalar(0.5)])], { axis: -1 });
        const context = build.op('MatMul', [weights, heads('v', [0, 2, 1, 3])]);
        return build.op('Transpose', [context], { perm: [0, 2, 1, 3] });
      },
      [2, 4, 8],
    );
    expect(text).toMatchInlineSnapshot(`
"
opset 21, com.microsoft 1
graph piece(%x: float32[2,4,8], %q: float32[8,8], %k: float32[8,8], %v: float32[8,8], %weights: float32[2,4,2,4]) -> (%grad.q, %grad.k, %grad.v, %loss) {
  %int64s.2_4_2_4: int64[4] = [2, 4, 2, 4]
  %float32.0.5: float32[] = 0.5
  %float32.1: float32[] = 1
  %int64s.1_1_1_1: int64[4] = [1, 1, 1, 1]
  %int64s.2_4_2_4_3: int64[4] = [2, 4, 2, 4]
  %int64s.3: int64[1] = [3]
  %float32.0.5_7: float32[] = 0.5
  %int64s.8_8: int64[2] = [8, 8]
  %MatMul: float32[2,4,8] = MatMul(%x, %q)
  %Reshape: float32[2,4,2,4] = Reshape(%MatMul, %int64s.2_4_2_4)
  %Transpose: float32[2,2,4,4] = Transpose(%Reshape) {perm: [0, 2, 1, 3]}
  %MatMul_1: float32[2,4,8] = MatMul(%x, %k)
  %Reshape_2: float32[2,4,2,4] = Reshape(%MatMul_1, %int64s.2_4_2_4)
  %Transpose_3: float32[2,2,4,4] = Transpose(%Reshape_2) {perm: [0, 2, 3, 1]}
  %MatMul_4: float32[2,2,4,4] = MatMul(%Transpose, %Transpose_3)
  %Mul: float32[2,2,4,4] = Mul(%MatMul_4, %float32.0.5)
  %Softmax: float32[2,2,4,4] = Softmax(%Mul) {axis: -1}
  %MatMul_5: float32[2,4,8] = MatMul(%x, %v)
  %Reshape_6: float32[2,4,2,4] = Reshape(%MatMul_5, %int64s.2_4_2_4)
  %Transpose_7: float32[2,2,4,4] = Transpose(%Reshape_6) {perm: [0, 2, 1, 3]}
  %MatMul_8: float32[2,2,4,4] = MatMul(%Softmax, %Transpose_7)
  %y: float32[2,4,2,4] = Transpose(%MatMul_8) {perm: [0, 2, 1, 3]}
  %Mul_1: float32[2,4,2,4] = Mul(%y, %weights)
  %loss: float32[] = ReduceSum(%Mul_1) {keepdims: 0}
  %grad.Reshape: float32[1,1,1,1] = Reshape(%float32.1, %int64s.1_1_1_1)
  %grad.Expand: float32[2,4,2,4] = Expand(%grad.Reshape, %int64s.2_4_2_4_3)
  %grad.Mul: float32[2,4,2,4] = Mul(%grad.Expand, %weights)
  %grad.Transpose: float32[2,2,4,4] = Transpose(%grad.Mul) {perm: [0, 2, 1, 3]}
  %grad.FusedMatMul: float32[2,2,4,4] = com.microsoft.FusedMatMul(%grad.Transpose, %Transpose_7) {transB: 1}
  %grad.FusedMatMul_4: float32[2,2,4,4] = com.microsoft.FusedMatMul(%Softmax, %grad.Transpose) {transA: 1}
  %grad.Mul_5: float32[2,2,4,4] = Mul(%grad.FusedMatMul, %Softmax)
  %grad.ReduceSum: float32[2,2,4,1] = ReduceSum(%grad.Mul_5, %int64s.3) {keepdims: 1}
  %grad.Mul_6: float32[2,2,4,4] = Mul(%Softmax, %grad.ReduceSum)
  %grad.Sub: float32[2,2,4,4] = Sub(%grad.Mul_5, %grad.Mul_6)
  %grad.Mul_8: float32[2,2,4,4] = Mul(%grad.Sub, %float32.0.5_7)
  %grad.FusedMatMul_9: float32[2,2,4,4] = com.microsoft.FusedMatMul(%grad.Mul_8, %Transpose_3) {transB: 1}
  %grad.FusedMatMul_10: float32[2,2,4,4] = com.microsoft.FusedMatMul(%Transpose, %grad.Mul_8) {transA: 1}
  %grad.Transpose_11: float32[2,4,2,4] = Transpose(%grad.FusedMatMul_9) {perm: [0, 2, 1, 3]}
  %grad.Reshape_13: float32[8,8] = Reshape(%grad.Transpose_11, %int64s.8_8)
  %grad.Reshape_14: float32[8,8] = Reshape(%x, %int64s.8_8)
  %grad.q: float32[8,8] = Gemm(%grad.Reshape_14, %grad.Reshape_13) {transA: 1}
  %grad.Transpose_15: float32[2,4,2,4] = Transpose(%grad.FusedMatMul_10) {perm: [0, 3, 1, 2]}
  %grad.Reshape_17: float32[8,8] = Reshape(%grad.Transpose_15, %int64s.8_8)
  %grad.k: float32[8,8] = Gemm(%grad.Reshape_14, %grad.Reshape_17) {transA: 1}
  %grad.Transpose_19: float32[2,4,2,4] = Transpose(%grad.FusedMatMul_4) {perm: [0, 2, 1, 3]}
  %grad.Reshape_21: float32[8,8] = Reshape(%grad.Transpose_19, %int64s.8_8)
  %grad.v: float32[8,8] = Gemm(%grad.Reshape_14, %grad.Reshape_21) {transA: 1}
}
"
`);
  });

  it('of a tied decoder: the head reads the table, and the rows are scattered into its gradient', () => {
    const text = trainingText(
      ['table'],
      (build, ids) => {
        const table = parameter(build, 'table', 300, 4);
        const rows = build.op('Gather', [table, build.op('Cast', [ids], { to: 7 })]);
        return build.op('MatMul', [rows, build.op('Transpose', [table], { perm: [1, 0] })]);
      },
      [3],
    );
    expect(text).toMatchInlineSnapshot(`
"
opset 21
graph piece(%x: float32[3], %table: float32[300,4], %weights: float32[3,300]) -> (%grad.table, %loss) {
  %float32.1: float32[] = 1
  %int64s.1_1: int64[2] = [1, 1]
  %int64s.3_300: int64[2] = [3, 300]
  %int64s.3_1: int64[2] = [3, 1]
  %int64s.3_4: int64[2] = [3, 4]
  %Cast: int64[3] = Cast(%x) {to: 7}
  %Gather: float32[3,4] = Gather(%table, %Cast)
  %Transpose: float32[4,300] = Transpose(%table) {perm: [1, 0]}
  %y: float32[3,300] = MatMul(%Gather, %Transpose)
  %Mul: float32[3,300] = Mul(%y, %weights)
  %loss: float32[] = ReduceSum(%Mul) {keepdims: 0}
  %grad.Reshape: float32[1,1] = Reshape(%float32.1, %int64s.1_1)
  %grad.Expand: float32[3,300] = Expand(%grad.Reshape, %int64s.3_300)
  %grad.Mul: float32[3,300] = Mul(%grad.Expand, %weights)
  %grad.Gemm: float32[3,4] = Gemm(%grad.Mul, %table)
  %grad.Reshape_3: int64[3,1] = Reshape(%Cast, %int64s.3_1)
  %grad.Expand_4: int64[3,4] = Expand(%grad.Reshape_3, %int64s.3_4)
  %grad.Gemm_5: float32[300,4] = Gemm(%grad.Mul, %Gather) {transA: 1}
  %grad.table: float32[300,4] = ScatterElements(%grad.Gemm_5, %grad.Expand_4, %grad.Gemm) {axis: 0, reduction: "add"}
}
"
`);
  });
});
