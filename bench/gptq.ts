/**
 * @file What GPTQ gains over rounding to the nearest, on texts that calibration did not see: the squared output error of
 * each product in float64, and how far the whole model's answers are from the float model's. The mean divergence hangs
 * on the few texts next to a boundary between two classes, so its standard error and the median stand beside it.
 *
 *   node --require ./tools/register-typescript.cjs bench/gptq.ts --bundle DIR --data DIR
 *        [--bits 4] [--blocks 32,128] [--rows 256] [--seeds 1,2,3] [--train] [--threads 1]
 *
 * Calibrates on --rows texts of the dev split (of train with --train), drawn with each seed; measures on the whole test
 * split.
 */
import { parseArgs } from 'node:util';
import { median } from '../packages/core/src/bench/statistics';
import { readBundle } from '../packages/core/src/bundle';
import { logSumExp } from '../packages/core/src/evaluate/perplexity';
import { clone } from '../packages/core/src/graph';
import type { Model, Tensor } from '../packages/core/src/graph';
import { quantizeModel } from '../packages/core/src/quantize';
import { decodeBlocks, outputRows, roundToBlocks } from '../packages/core/src/quantize/blocks';
import type { BlockCodes, BlockFormat } from '../packages/core/src/quantize/blocks';
import { withCalibrationRows, withRowsOf } from '../packages/core/src/quantize/calibration-rows';
import { compensateModel } from '../packages/core/src/quantize/compensate-model';
import { observeProducts } from '../packages/core/src/quantize/observe';
import type { CalibrationRows } from '../packages/core/src/quantize/observe';
import { findSites, plainProducts } from '../packages/core/src/quantize/sites';
import type { LinearSite } from '../packages/core/src/quantize/sites';
import { ortRuntime } from '../packages/core/src/runtime';

const { values: args } = parseArgs({
  options: {
    bundle: { type: 'string' },
    data: { type: 'string' },
    bits: { type: 'string', default: '4' },
    blocks: { type: 'string', default: '32,128' },
    rows: { type: 'string', default: '256' },
    seeds: { type: 'string', default: '1,2,3' },
    train: { type: 'boolean', default: false },
    threads: { type: 'string', default: '1' },
  },
});
const threads = Number(args.threads);
const DAMPING = 0.01;

type Codes = ReadonlyMap<string, BlockCodes>;

const matrixOf = ({ weight, transposed }: LinearSite) => outputRows(weight.constant as Tensor<'float32'>, transposed);

/** Sum over texts and outputs of the squared error of a product: trace(D X^T X D^T), D the error of the weight. */
function outputError(site: LinearSite, codes: BlockCodes, products: Float32Array): number {
  const { rows, columns, values } = matrixOf(site);
  const decoded = decodeBlocks(codes).values;
  const error = new Float64Array(columns);
  let total = 0;
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < columns; i++) error[i] = values[row * columns + i] - decoded[row * columns + i];
    for (let i = 0; i < columns; i++) {
      let sum = 0;
      for (let j = 0; j < columns; j++) sum += products[i * columns + j] * error[j];
      total += error[i] * sum;
    }
  }
  return total;
}

/** Logarithms of the class probabilities of each text. */
async function answers(model: Model, output: string, rows: CalibrationRows): Promise<Float64Array[]> {
  const executable = await ortRuntime.compile(model, { threads });
  const found: Float64Array[] = [];
  for (let row = 0; row < rows.count; row++) {
    const logits = (await executable.run(rows.inputs(row)))[output].data as Float32Array;
    const scale = logSumExp(logits);
    found.push(Float64Array.from(logits, (logit) => logit - scale));
  }
  await executable.release();
  return found;
}

/** KL(float || quantized) of each text, in thousandths of a nat. */
const divergences = (float: readonly Float64Array[], quantized: readonly Float64Array[]): number[] =>
  float.map((logs, row) => 1000 * logs.reduce((sum, log, i) => sum + Math.exp(log) * (log - quantized[row][i]), 0));

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function summary(values: readonly number[]): string {
  const average = mean(values);
  const error = Math.sqrt(mean(values.map((value) => (value - average) ** 2)) / values.length);
  const worst = values.toSorted((a, b) => b - a).slice(0, values.length / 100);
  const share = worst.reduce((sum, value) => sum + value, 0) / (average * values.length);
  return `${average.toFixed(2)} +- ${error.toFixed(2)} | ${median(values).toFixed(3)} | ${Math.round(100 * share)} %`;
}

async function main(): Promise<void> {
  const { bundle, data } = args;
  if (!bundle || !data) throw new Error('Give --bundle and --data.');
  const { model, manifest } = await readBundle(bundle);
  const source = { bundle, dataset: data, maxLength: 128 };
  const sites = plainProducts(findSites(model.graph).sites);
  const inputs = new Map(sites.map((site) => [site.node.input(0).name, matrixOf(site).columns]));
  await withRowsOf('test', { ...source, rows: Infinity, seed: 0 }, async (unseen) => {
    const products = await observeProducts(model, inputs, unseen, { threads });
    const float = await answers(clone(model), manifest.output, unseen);
    console.log(
      '| block | rounding | output error of products, of rounding | KL x 1000 | median | share of the worst 1 % of texts | nearer than rounding |',
    );
    console.log(`|${'---|'.repeat(7)}`);
    for (const block of args.blocks.split(',').map(Number) as BlockFormat['block'][]) {
      const format: BlockFormat = { bits: Number(args.bits) as BlockFormat['bits'], block, symmetric: true };
      const divergenceWith = async (codes: Codes): Promise<number[]> => {
        const version = clone(model);
        quantizeModel(version, { kind: 'weight-only', compute: 'float32', ...format, codes });
        return divergences(float, await answers(version, manifest.output, unseen));
      };
      const nearest = new Map(
        sites.map((site) => [site.weight.name, roundToBlocks(matrixOf(site), format, site.weight.name)]),
      );
      const rounded = await divergenceWith(nearest);
      console.log(`| ${block} | nearest | | ${summary(rounded)} | |`);
      for (const seed of args.seeds.split(',').map(Number)) {
        const calibration = { ...source, dedicated: args.train, rows: Number(args.rows), seed };
        const codes = await withCalibrationRows(calibration, (rows) =>
          compensateModel(model, rows, { format, damping: DAMPING, threads }),
        );
        const ratios = sites.map((site) => {
          const [own, other] = [codes, nearest].map((of) =>
            outputError(site, of.get(site.weight.name)!, products.get(site.node.input(0).name)!),
          );
          return own / other;
        });
        const range = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}, median ${median(ratios).toFixed(2)}`;
        const own = await divergenceWith(codes);
        const nearer = own.filter((value, row) => value < rounded[row]).length / own.length;
        console.log(`| ${block} | gptq, seed ${seed} | ${range} | ${summary(own)} | ${Math.round(100 * nearer)} % |`);
      }
    }
  });
}

void main();
