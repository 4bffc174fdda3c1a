import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { syntheticInputs } from '../bench/inputs';
import { NATIVE_FILE, readBundle, readManifest, writeBundle } from '../bundle';
import { clone } from '../graph';
import { writeModel } from '../onnx';
import { findSites } from '../quantize';
import { nativeObstacle, nativeRuntime, ortRuntime, switchNative } from '../runtime';
import { SPARSE_PATTERNS } from '../sparse';
import { rewriteSparse, weightOf } from '../sparse/rewrite';
import { accelerateStage } from './accelerate';
import { benchmarkStage } from './benchmark';
import { evaluateStage } from './evaluate';
import { pruneStage } from './prune';
import { datasetFolder, temporaryFolder, testContext, tinyBundle, tinyExamples } from './testing';

const describeNative = nativeObstacle() === undefined ? describe : describe.skip;
const config = (given: object = {}) =>
  accelerateStage.schema.parse({ batch: 2, sequence: 16, seconds: 0.05, ...given });

describeNative('accelerate stage (needs the native runtime)', () => {
  let pruned: string;
  beforeAll(async () => {
    const data = datasetFolder({ train: tinyExamples(16), dev: tinyExamples(16) });
    const context = testContext({ model: await tinyBundle(), datasets: { data } });
    const settings = { granularity: { type: 'block', rows: 1, columns: 16 }, target: 0.8, epochs: 0 };
    await pruneStage.run(pruneStage.schema.parse(settings), context);
    pruned = join(context.output, 'model');
  });

  it('adds a form for the native runtime that answers alike, and leaves model.onnx alone', async () => {
    const context = testContext({ model: pruned });
    const { measurements, sections } = await accelerateStage.run(config(), context);
    const folder = join(context.output, 'model');
    expect(readFileSync(join(folder, 'model.onnx'))).toEqual(readFileSync(join(pruned, 'model.onnx')));
    expect(existsSync(join(folder, NATIVE_FILE))).toBe(true);
    const { native } = await readManifest(folder);
    expect(native).toMatchObject({ file: NATIVE_FILE, pack: 1 });
    const counts = Object.values(native!.forms).reduce((sum, count) => sum + count, 0);
    expect(counts).toBe(sections.flatMap((section) => (section.kind === 'table' ? section.rows : [])).length);
    expect(Object.keys(native!.forms).filter((form) => form.includes('int8'))).toEqual([]);
    expect(measurements).toMatchObject([{ metric: 'native.difference', subject: 'comparison' }]);
    expect(measurements[0].value).toBeLessThan(1e-5);
  });

  it('is what the benchmark runs, and what a later write of the bundle leaves behind', async () => {
    const context = testContext({ model: pruned });
    await accelerateStage.run(config({ int8: true }), context);
    const model = join(context.output, 'model');
    const settings = { batches: [1], sequences: [8], seconds: 0.1, memory: false, endToEnd: false };
    const runtimes = async (runtime: 'auto' | 'ort') => {
      const parsed = benchmarkStage.schema.parse({ ...settings, runtime });
      const { sections, warnings } = await benchmarkStage.run(parsed, testContext({ model, baseline: pruned }));
      expect(warnings.filter((warning) => warning.includes('native'))).toEqual([]);
      const sizes = sections.find(({ title }) => title === 'Size and memory');
      return sizes?.kind === 'table' ? sizes.rows.map((row) => row[1]) : [];
    };
    expect(await runtimes('auto')).toEqual(['native', 'ONNX Runtime']);
    expect(await runtimes('ort')).toEqual(['ONNX Runtime', 'ONNX Runtime']);
    const copy = temporaryFolder();
    await writeBundle(copy, await readBundle(model));
    expect((await readManifest(copy)).native).toBeUndefined();
  });

  it('without the native runtime is refused, and its result is timed as plain ONNX with a warning', async () => {
    const context = testContext({ model: pruned });
    await accelerateStage.run(config(), context);
    const model = join(context.output, 'model');
    const grid = { batches: [1], sequences: [8], seconds: 0.1, memory: false, endToEnd: false };
    switchNative('off');
    try {
      const { warnings } = await benchmarkStage.run(benchmarkStage.schema.parse(grid), testContext({ model }));
      expect(warnings).toContainEqual(expect.stringContaining('ran as plain ONNX'));
      await expect(accelerateStage.run(config(), testContext({ model: pruned }))).rejects.toMatchObject({
        kind: 'unsupported',
        code: 'runtime.native',
      });
    } finally {
      switchNative('auto');
    }
  });

  it.each(SPARSE_PATTERNS)('rewrites every product to pattern %s without changing answers', async (pattern) => {
    const { model, manifest } = await readBundle(pruned);
    const sparse = clone(model);
    const sites = findSites(sparse.graph).sites.filter((site) => site.kind === 'linear');
    for (const site of sites) rewriteSparse(sparse, site, weightOf(site), pattern);
    expect(sparse.graph.nodes.filter(({ opType }) => opType === 'SparseGemm')).toHaveLength(sites.length);
    const feeds = syntheticInputs(manifest, 50, { batch: 3, sequence: 7 }, 1);
    const plain = await ortRuntime.compile(model);
    const native = await nativeRuntime.compile(writeModel(sparse), { threads: 2 });
    const [expected, got] = [await plain.run(feeds), await native.run(feeds)].map(
      (results) => results[manifest.output].data as Float32Array,
    );
    const digits = pattern === '1x16-int8' ? 0 : 4;
    got.forEach((value, i) => expect(value).toBeCloseTo(expected[i], digits));
    await plain.release();
    await native.release();
  });

  it('refuses a damaged native.onnx with a typed error, and needs it only where it is asked for', async () => {
    const context = testContext({ model: pruned });
    await accelerateStage.run(config(), context);
    const model = join(context.output, 'model');
    writeFileSync(join(model, NATIVE_FILE), readFileSync(join(model, NATIVE_FILE)).subarray(0, 3000));
    const grid = { batches: [1], sequences: [8], seconds: 0.1, memory: false, endToEnd: false };
    const timed = benchmarkStage.run(benchmarkStage.schema.parse(grid), testContext({ model }));
    await expect(timed).rejects.toMatchObject({ code: 'runtime.compile' });
    const data = datasetFolder({ test: tinyExamples(20) });
    const evaluate = (runtime: 'auto' | 'ort') => {
      const settings = evaluateStage.schema.parse({ runtime, resamples: 100, robustness: { perturbations: [] } });
      return evaluateStage.run(settings, testContext({ model, datasets: { data } }));
    };
    await expect(evaluate('auto')).rejects.toMatchObject({ code: 'runtime.compile' });
    expect((await evaluate('ort')).warnings).toEqual([]);
  });
});

it('is refused for what it cannot read', async () => {
  const manifest = await readManifest(await tinyBundle());
  const codes = (model: typeof manifest) =>
    accelerateStage.check?.(config({ sequence: 64 }), { model, datasets: {} }).map(({ code }) => code);
  expect(codes(manifest)).toEqual(['too-long']);
  expect(codes({ ...manifest, architecture: 'dan' })).toEqual(['unsupported']);
});
