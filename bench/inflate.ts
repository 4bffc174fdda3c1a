/**
 * @file What it costs to bring a pruned output back to the width of the residual stream, by operator and shape.
 *
 *   node --require ./tools/register-typescript.cjs bench/inflate.ts [--threads 2] [--kept 0.6]
 *
 * The work is act[batch, sequence, inputs] W[inputs, kept] -> [batch, sequence, hidden], and the same product at full width beside it, in
 * turns. Times are medians relative to the full-width product: below 1, removing the outputs pays.
 */
import { parseArgs } from 'node:util';
import { median } from '../packages/core/src/bench/statistics';
import { takeTurns } from '../packages/core/src/bench/take-turns';
import { Graph, Model, Tensor } from '../packages/core/src/graph';
import type { Value } from '../packages/core/src/graph';
import { GraphBuilder } from '../packages/core/src/graph/builder';
import { ortRuntime } from '../packages/core/src/runtime';
import type { HostTensor } from '../packages/core/src/runtime/runtime';
import { Random } from '../packages/core/src/train/random';

const { values: args } = parseArgs({
  options: { threads: { type: 'string', default: '2' }, kept: { type: 'string', default: '0.6' } },
});
const share = Number(args.kept);

interface Shape {
  readonly name: string;
  readonly batch: number;
  readonly sequence: number;
  readonly inputs: number;
  readonly hidden: number;
}
const SHAPES: readonly Shape[] = [
  ['MiniLM', 384, 160, 640],
  ['BERT-base', 768, 320, 1280],
].flatMap(([model, hidden, heads, ffn]) =>
  [
    [1, 32],
    [8, 128],
  ].flatMap(([batch, sequence]) => [
    { name: `${model} W_AO`, batch, sequence, inputs: heads as number, hidden: hidden as number },
    { name: `${model} W_O`, batch, sequence, inputs: ffn as number, hidden: hidden as number },
  ]),
);

const random = new Random(1);
const values = (size: number): Float32Array => Float32Array.from({ length: size }, () => random.normal());

/** Every way gets x and the kept columns, and gives [batch, sequence, hidden] with zeros elsewhere. */
type Way = (build: GraphBuilder, x: Value, shape: Shape, kept: readonly number[]) => Value;
const product = (build: GraphBuilder, x: Value, inputs: number, outputs: number): Value =>
  build.op('MatMul', [x, build.parameter('w', Tensor.float32([inputs, outputs], values(inputs * outputs)))]);
/** The zero that stands for every removed output, behind the kept ones. */
const withZero = (build: GraphBuilder, kept: Value): Value => build.op('Pad', [kept, build.int64s([0, 0, 0, 0, 0, 1])]);
/** By hidden dimension: its column among the kept, or the zero behind them. */
const positions = ({ hidden }: Shape, kept: readonly number[]): number[] =>
  Array.from({ length: hidden }, (_, i) => (kept.includes(i) ? kept.indexOf(i) : kept.length));

const WAYS: Readonly<Record<string, Way>> = {
  'full width': (build, x, { inputs, hidden }) => product(build, x, inputs, hidden),
  'nothing (lower bound)': (build, x, { inputs }, kept) => product(build, x, inputs, kept.length),
  'pad, gather': (build, x, shape, kept) =>
    build.op(
      'Gather',
      [withZero(build, product(build, x, shape.inputs, kept.length)), build.int64s(positions(shape, kept))],
      { axis: 2 },
    ),
  'zero column, gather': (build, x, shape, kept) =>
    build.op('Gather', [product(build, x, shape.inputs, kept.length + 1), build.int64s(positions(shape, kept))], {
      axis: 2,
    }),
  'selection product': (build, x, shape, kept) => {
    const selection = new Float32Array(kept.length * shape.hidden);
    kept.forEach((column, i) => (selection[i * shape.hidden + column] = 1));
    const small = product(build, x, shape.inputs, kept.length);
    return build.op('MatMul', [small, build.parameter('s', Tensor.float32([kept.length, shape.hidden], selection))]);
  },
  'pad, gather elements': (build, x, shape, kept) => {
    const padded = withZero(build, product(build, x, shape.inputs, kept.length));
    const all = build.int64s([shape.batch, shape.sequence, shape.hidden]);
    const indices = build.op('Expand', [build.int64s(positions(shape, kept)), all]);
    return build.op('GatherElements', [padded, indices], { axis: 2 });
  },
  'transpose, pad, gather rows, transpose': (build, x, shape, kept) => {
    const turned = build.op('Transpose', [product(build, x, shape.inputs, kept.length)], { perm: [2, 0, 1] });
    const padded = build.op('Pad', [turned, build.int64s([0, 0, 0, 1, 0, 0])]);
    const rows = build.op('Gather', [padded, build.int64s(positions(shape, kept))], { axis: 0 });
    return build.op('Transpose', [rows], { perm: [1, 2, 0] });
  },
  'transpose, scatter rows, transpose (the source)': (build, x, shape, kept) => {
    const turned = build.op('Transpose', [product(build, x, shape.inputs, kept.length)], { perm: [2, 0, 1] });
    const { batch, sequence, hidden } = shape;
    const zeros = build.constant(
      Tensor.float32([hidden, batch, sequence], new Float32Array(hidden * batch * sequence)),
    );
    const rows = build.op('Unsqueeze', [build.int64s(kept), build.int64s([1])]);
    return build.op('Transpose', [build.op('ScatterND', [zeros, rows, turned])], { perm: [1, 2, 0] });
  },
  'transposed product, pad, gather rows, transpose': (build, x, shape, kept) => {
    const weight = build.parameter(
      'w',
      Tensor.float32([kept.length, shape.inputs], values(shape.inputs * kept.length)),
    );
    const turned = build.op('Gemm', [weight, build.op('Reshape', [x, build.int64s([-1, shape.inputs])])], {
      transB: 1,
    });
    const padded = build.op('Pad', [turned, build.int64s([0, 0, 1, 0])]);
    const rows = build.op('Gather', [padded, build.int64s(positions(shape, kept))], { axis: 0 });
    const back = build.op('Transpose', [rows], { perm: [1, 0] });
    return build.op('Reshape', [back, build.int64s([shape.batch, shape.sequence, shape.hidden])]);
  },
  'pad only (kept ones in front)': (build, x, shape, kept) =>
    build.op('Pad', [
      product(build, x, shape.inputs, kept.length),
      build.int64s([0, 0, 0, 0, 0, shape.hidden - kept.length]),
    ]),
  'concat of runs': (build, x, shape, kept) => {
    const small = product(build, x, shape.inputs, kept.length);
    const runs = runsOf(shape.hidden, kept);
    const parts = build.ops(
      'Split',
      [small, build.int64s(runs.filter((run) => run.kept).map((run) => run.length))],
      { axis: 2 },
      runs.filter((run) => run.kept).length,
    );
    let next = 0;
    const zeros = (length: number): Value =>
      build.constant(
        Tensor.float32([shape.batch, shape.sequence, length], new Float32Array(shape.batch * shape.sequence * length)),
      );
    return build.op(
      'Concat',
      runs.map((run) => (run.kept ? parts[next++] : zeros(run.length))),
      { axis: 2 },
    );
  },
};

function runsOf(hidden: number, kept: readonly number[]): { kept: boolean; length: number }[] {
  const set = new Set(kept);
  const runs: { kept: boolean; length: number }[] = [];
  for (let i = 0; i < hidden; i++) {
    const last = runs.at(-1);
    if (last?.kept === set.has(i)) last.length++;
    else runs.push({ kept: set.has(i), length: 1 });
  }
  return runs;
}

async function main(): Promise<void> {
  console.log(`kept ${share} of the outputs, ${args.threads} threads; time relative to the full-width product`);
  for (const shape of SHAPES) {
    const kept = Array.from({ length: shape.hidden }, (_, i) => i)
      .map((i) => ({ i, key: random.uniform() }))
      .sort((a, b) => a.key - b.key)
      .slice(0, Math.round(share * shape.hidden))
      .map(({ i }) => i)
      .sort((a, b) => a - b);
    const x: HostTensor = {
      dtype: 'float32',
      dims: [shape.batch, shape.sequence, shape.inputs],
      data: values(shape.batch * shape.sequence * shape.inputs),
    };
    const names = Object.keys(WAYS);
    const executables = await Promise.all(
      names.map((name) => {
        const build = new GraphBuilder(new Model(new Graph(name)));
        const input = build.input('x', 'float32', x.dims);
        build.output(build.op('Relu', [WAYS[name](build, input, shape, kept)]), 'y');
        return ortRuntime.compile(build.model, { threads: Number(args.threads) });
      }),
    );
    const samples = await takeTurns(
      executables.map((executable) => () => executable.run({ x })),
      { warmup: 5, minRounds: 30, maxRounds: 300, seconds: 3 },
    );
    const full = median(samples[0]);
    const times = names.map((name, i) => `${name} ${(median(samples[i]) / full).toFixed(2)}`);
    console.log(
      `${shape.name} ${shape.batch}x${shape.sequence}, ${shape.inputs} -> ${shape.hidden} (${full.toFixed(3)} ms): ${times.join(', ')}`,
    );
    for (const executable of executables) await executable.release();
  }
}

void main();
