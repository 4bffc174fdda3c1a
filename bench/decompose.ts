/**
 * @file Time to take the matrices of a transformer apart for factorization, activation-aware, on one thread: one matrix
 * of each shape, times how often a model has it. Weights are random; activations have a spectrum that falls with the
 * square, as those of trained models do more or less. Processor seconds, so that a busy machine says nearly the same.
 *
 *   node --require ./tools/register-typescript.cjs bench/decompose.ts [--hidden 768] [--layers 12] [--rank RANK]
 *
 * --rank is what a budget of type rank asks for; default: all that could be useful, as the other budgets need.
 */
import { parseArgs } from 'node:util';
import { breakEvenRank, decompose, momentSide } from '../packages/core/src/factorize/low-rank';
import type { Matrix } from '../packages/core/src/factorize/low-rank';
import { gramOfColumns } from '../packages/core/src/factorize/products';
import { Random } from '../packages/core/src/train/random';

const { values: args } = parseArgs({
  options: {
    hidden: { type: 'string', default: '768' },
    layers: { type: 'string', default: '12' },
    rank: { type: 'string' },
  },
});
const random = new Random(1);

/** Second moment of `n` values that are mixtures of `n` others with falling variances. */
function secondMoment(n: number): Float64Array {
  const x = Float64Array.from({ length: n * n }, (_, at) => random.normal() / (1 + Math.floor(at / n)));
  const lower = gramOfColumns(x, n, n);
  return Float64Array.from({ length: n * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    return lower[Math.max(i, j) * n + Math.min(i, j)];
  });
}

function processorSeconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

function main(): void {
  const [hidden, layers] = [args.hidden, args.layers].map(Number);
  const shapes = [
    { name: 'W_Q, W_K, W_V, W_AO', rows: hidden, columns: hidden, count: 4 * layers },
    { name: 'W_I', rows: hidden, columns: 4 * hidden, count: layers },
    { name: 'W_O', rows: 4 * hidden, columns: hidden, count: layers },
  ];
  let total = 0;
  console.log('| matrices | rows x columns | rank | seconds of one |\n|---|---|---|---|');
  for (const { name, rows, columns, count } of shapes) {
    const data = Float32Array.from({ length: rows * columns }, () => random.normal());
    const matrix: Matrix = { rows, columns, data };
    const values = secondMoment(Math.min(rows, columns));
    const mostUseful = breakEvenRank(rows, columns);
    const rank = Math.min(Number(args.rank ?? mostUseful), mostUseful);
    const apart = (): void => {
      const parts = decompose(matrix, { of: momentSide(rows, columns), values }, rank);
      parts.factors(args.rank === undefined ? Math.ceil(rank / 2) : rank);
    };
    apart();
    const seconds = processorSeconds(apart);
    total += count * seconds;
    console.log(`| ${count} ${name} | ${rows} x ${columns} | ${rank} | ${seconds.toFixed(2)} |`);
  }
  console.log(`\n${total.toFixed(0)} s for the ${6 * layers} matrices of ${layers} layers`);
}

main();
