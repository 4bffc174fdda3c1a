import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { readBundle, writeBundle } from '../bundle';
import type { Manifest } from '../bundle';
import { figureOf, openWorkshop, QUICK, stageContext } from '../finetune/testing';
import { factorizeIssues } from '../factorize/check';
import { factorizeSchema } from '../factorize/config';
import type { FactorizeConfig } from '../factorize/config';
import { sizeOfComponent } from '../factorize/estimate';
import { exportHuggingFace, importOnnx } from '../models';
import { STAGES } from '../stages';
import type { StageContext, StageDefinition, StageResult } from '../stages';
import { writeModel } from '../onnx';
import { pruneIssues } from './check';
import { pruneSchema } from './config';
import { readSparseFile, SPARSE_FILE } from './sparse-file';

let folder: string;
let dataset: string;
let trained: string;

const context = (name: string, model: string | undefined): StageContext =>
  stageContext(join(folder, name), dataset, model);
const accuracyOf = (result: StageResult): number => figureOf(result, 'accuracy');

beforeAll(async () => {
  ({ folder, dataset, trained } = await openWorkshop());
});
afterAll(() => rmSync(folder, { recursive: true }));

async function prune(
  name: string,
  settings: object,
): Promise<{ result: StageResult; folder: string; accuracy: number }> {
  const config = STAGES.prune.schema.parse({ ...QUICK, epochs: 3, pruningEpochs: 1, ...settings });
  const result = await STAGES.prune.run(config, context(name, trained));
  return { result, folder: join(folder, name, 'output', result.model!), accuracy: accuracyOf(result) };
}

describe('neuron pruning', () => {
  it('removes the target share for real, recovers, and can be repeated', async () => {
    const dense = await readBundle(trained);
    const { folder: once, accuracy } = await prune('neurons', { target: 0.5 });
    expect(accuracy).toBeGreaterThan(0.95);
    const { manifest } = await readBundle(once);
    const neurons = (layers: NonNullable<typeof manifest.structure>['layers']): number =>
      layers.reduce((sum, { ffn }) => sum + ffn, 0);
    expect(neurons(manifest.structure!.layers)).toBeLessThan(neurons(dense.manifest.structure!.layers));
    expect(manifest.parameters.total).toBeLessThan(dense.manifest.parameters.total);
    for (const { queryDims } of manifest.structure!.layers) expect(new Set(queryDims).size).toBe(1);
    const queries = (of: Manifest): number =>
      of.structure!.layers.reduce((sum, { queryDims }) => sum + queryDims.reduce((a, b) => a + b, 0), 0);
    expect(queries(manifest)).toBeLessThan(queries(dense.manifest));

    const config = STAGES.prune.schema.parse({ ...QUICK, epochs: 2, pruningEpochs: 1, target: 0.3 });
    const again = await STAGES.prune.run(config, context('again', once));
    const smaller = await readBundle(join(folder, 'again', 'output', again.model!));
    expect(smaller.manifest.parameters.total).toBeLessThan(manifest.parameters.total);
  });

  it('cuts neurons out of a graph that another toolchain made', async () => {
    const { bundle } = await importOnnx(trained, { keepGraph: true, task: 'classification' });
    const { labels } = await readBundle(trained);
    await writeBundle(join(folder, 'foreign'), { ...bundle, labels });
    const config = STAGES.prune.schema.parse({ ...QUICK, epochs: 3, pruningEpochs: 1, target: 0.5 });
    const result = await STAGES.prune.run(config, context('foreign-run', join(folder, 'foreign')));
    expect(accuracyOf(result)).toBeGreaterThan(0.9);
    const { manifest } = await readBundle(join(folder, 'foreign-run', 'output', result.model!));
    expect(manifest.architecture).toBe('foreign');
    expect(manifest.parameters.total).toBeLessThan(bundle.manifest.parameters.total);
  });

  it('takes W_Q and W_K to 100 %: attention becomes a mean over values', async () => {
    const { folder: out, accuracy } = await prune('no-attention', { target: 0, targets: { W_Q: 1, W_K: 1 } });
    const { manifest, model } = await readBundle(out);
    expect(manifest.structure!.layers.every(({ queryDims }) => queryDims.every((dims) => dims === 0))).toBe(true);
    expect([...model.graph.values.keys()].some((name) => name.includes('.query.'))).toBe(false);
    expect(accuracy).toBeGreaterThan(0.95);
  });

  it('removes hidden dimensions everywhere, with dropout, and the model can be pruned again', async () => {
    const { folder: out, accuracy } = await prune('hidden', { target: 0.3, hidden: 0.5, dropout: 0.1, epochs: 5 });
    const { manifest, model } = await readBundle(out);
    expect(manifest.structure!.hidden).toBe(16);
    const tables = manifest.components.filter(({ component }) => component === 'embeddings');
    expect(tables.map(({ weight }) => model.graph.value(weight).constant!.dims[1])).toEqual([16, 16, 16]);
    expect(accuracy).toBeGreaterThan(0.9);
    const config = STAGES.prune.schema.parse({ ...QUICK, epochs: 1, pruningEpochs: 1, target: 0, hidden: 0.25 });
    const again = await STAGES.prune.run(config, context('hidden-again', out));
    const smaller = await readBundle(join(folder, 'hidden-again', 'output', again.model!));
    expect(smaller.manifest.structure!.hidden).toBe(12);
  });

  it('removes outputs of W_AO and W_O, puts them back at run time, and the model goes on as any other', async () => {
    const targets = { W_AO: 0.5, W_O: 0.5 };
    const { folder: out, accuracy, result } = await prune('outputs', { target: 0.5, targets, dropout: 0.1 });
    expect(accuracy).toBeGreaterThan(0.9);
    const heatmap = result.sections.find(({ kind }) => kind === 'heatmap');
    expect(heatmap).toMatchObject({ columns: ['W_Q, W_K', 'W_V', 'W_AO', 'W_I', 'W_O'] });
    const outputsIn = async (model: string): Promise<number> => {
      const { components, structure } = (await readBundle(model)).manifest;
      const written = components.filter(({ component }) => component === 'W_AO' || component === 'W_O');
      return written.reduce((sum, entry) => sum + sizeOfComponent(entry, structure!)[1], 0);
    };
    expect(await outputsIn(out)).toBeLessThan((await outputsIn(trained)) * 0.75);
    await expect(exportHuggingFace(out, join(folder, 'exported'))).rejects.toMatchObject({ code: 'export.shape' });

    const after = async (
      type: 'prune' | 'factorize' | 'quantize',
      settings: object,
      model: string,
    ): Promise<string> => {
      const stage = STAGES[type] as StageDefinition;
      const next = await stage.run(stage.schema.parse(settings), context(`outputs-${type}`, model));
      return join(folder, `outputs-${type}`, 'output', next.model!);
    };
    const again = { ...QUICK, epochs: 1, pruningEpochs: 1, target: 0, targets: { W_AO: 0.2, W_O: 0.2 } };
    const smaller = await after('prune', again, out);
    expect(await outputsIn(smaller)).toBeLessThan(await outputsIn(out));
    const thin = await after('factorize', { calibrationRows: 20, minimumRank: 1, multipleOf: 1 }, smaller);
    const small = await after('quantize', {}, thin);
    const scored = await STAGES.evaluate.run(STAGES.evaluate.schema.parse({}), context('outputs-score', small));
    expect(accuracyOf(scored)).toBeGreaterThan(0.8);
  });

  it('takes W_I to 100 %: only the output bias is left of the feed-forward blocks', async () => {
    const { folder: out } = await prune('no-ffn', { target: 0, targets: { W_I: 1 } });
    expect((await readBundle(out)).manifest.structure!.layers.map(({ ffn }) => ffn)).toEqual([0, 0]);
  });

  it.each(['taylor', 'magnitude', 'random'])('works by %s, with the dense model as teacher', async (importance) => {
    const settings = { importance, target: 0.4, shape: 'cubic', distill: {} };
    const { accuracy } = await prune(`by-${importance}`, settings);
    expect(accuracy).toBeGreaterThan(0.9);
  });

  it('removes whole heads', async () => {
    const { folder: out } = await prune('head', { granularity: { type: 'head' }, target: 0.5 });
    const { layers } = (await readBundle(out)).manifest.structure!;
    expect(layers.reduce((sum, { heads }) => sum + heads, 0)).toBe(2);
  });

  it('removes whole layers', async () => {
    const { folder: out } = await prune('layer', { granularity: { type: 'layer' }, target: 0.5 });
    expect((await readBundle(out)).manifest.structure!.layers).toHaveLength(1);
  });
});

describe('vocabulary pruning', () => {
  it('runs alone, without training', async () => {
    const { folder: out, result } = await prune('vocabulary', {
      target: 0,
      epochs: 0,
      pruningEpochs: 0,
      vocabulary: { minCount: 1 },
    });
    const [before, after] = await Promise.all([readBundle(trained), readBundle(out)]);
    expect(after.manifest.structure!.vocabulary).toBeLessThan(before.manifest.structure!.vocabulary);
    expect(figureOf(result, 'parameters.total')).toBe(after.manifest.parameters.total);
    const score = async (model: string, name: string): Promise<number> =>
      accuracyOf(await STAGES.evaluate.run(STAGES.evaluate.schema.parse({}), context(name, model)));
    expect(await score(out, 'vocabulary-score')).toBe(await score(trained, 'dense-score'));
  });

  it('goes with neuron pruning under a teacher that reads the old ids', async () => {
    const { folder: out, accuracy } = await prune('vocabulary-neurons', {
      target: 0.3,
      vocabulary: { minCount: 2 },
      distill: {},
    });
    const { structure } = (await readBundle(out)).manifest;
    expect(structure!.vocabulary).toBeLessThan((await readBundle(trained)).manifest.structure!.vocabulary);
    expect(accuracy).toBeGreaterThan(0.9);
  });
});

describe('unstructured pruning', () => {
  const zeros = async (dir: string): Promise<number> => {
    const { manifest } = await readBundle(dir);
    const shares = manifest.components
      .filter(({ component }) => ['W_Q', 'W_K', 'W_V', 'W_AO', 'W_I', 'W_O'].includes(component))
      .map(({ weight }) => manifest.sparsity[weight] ?? 0);
    return shares.reduce((sum, share) => sum + share, 0) / shares.length;
  };

  it.each(['magnitude', 'taylor', 'movement', 'pst', 'l0', 'random'])(
    'reaches 50 %% zeros by %s and keeps the task',
    async (importance) => {
      const settings = {
        granularity: { type: 'weight' },
        importance,
        target: 0.5,
        scope: 'matrix',
        shape: 'cubic',
        stepsPerEpoch: 5,
      };
      const { folder: out, accuracy, result } = await prune(`weights-${importance}`, settings);
      expect(await zeros(out)).toBeCloseTo(0.5, 2);
      expect(accuracy).toBeGreaterThan(0.9);
      expect(result.warnings.join()).toContain('no speed-up');
    },
  );

  it('PST trains a fraction of what movement pruning trains', async () => {
    const trainable = async (importance: string): Promise<number> => {
      const settings = {
        granularity: { type: 'weight' },
        importance,
        target: 0.5,
        scope: 'matrix',
        pst: { rank: 1, updateRank: 1 },
      };
      const { result } = await prune(`count-${importance}`, settings);
      return figureOf(result, 'parameters.trainable');
    };
    expect(await trainable('pst')).toBeLessThan((await trainable('movement')) / 5);
  });

  it.each([
    [{ type: 'n-of-m', keep: 2, of: 4 }, 0.5],
    [{ type: 'block', rows: 1, columns: 16 }, 0.5],
  ])('keeps the pattern %j', async (granularity, expected) => {
    const { folder: out, result } = await prune(`pattern-${granularity.type}`, {
      granularity,
      target: 0.5,
      scope: 'matrix',
    });
    expect(await zeros(out)).toBeCloseTo(expected, 1);
    const [plain, restored] = [(await readBundle(out)).model, await readSparseFile(join(out, SPARSE_FILE))];
    expect(Buffer.from(writeModel(restored)).equals(writeModel(plain))).toBe(true);
    expect(figureOf(result, 'bytes.compressed')).toBeLessThan(figureOf(result, 'bytes.model'));
  });

  it('rewinds a lottery ticket and trains it again', async () => {
    const settings = { granularity: { type: 'weight' }, target: 0.5, rewind: { epochs: 2, toStep: 5 } };
    const { folder: out, accuracy } = await prune('ticket', settings);
    expect(await zeros(out)).toBeGreaterThan(0.3);
    expect(accuracy).toBeGreaterThan(0.9);
  });

  it('prunes one-shot without any training', async () => {
    const { folder: out } = await prune('one-shot', {
      epochs: 0,
      pruningEpochs: 0,
      granularity: { type: 'weight' },
      target: 0.3,
    });
    const [before, after] = await Promise.all([readBundle(trained), readBundle(out)]);
    const name = before.manifest.components.find(({ component }) => component === 'classifier')!.weight;
    expect(after.model.graph.value(name).constant!.data).toEqual(before.model.graph.value(name).constant!.data);
    expect(await zeros(out)).toBeGreaterThan(0.2);
  });
});

describe('a run that is stopped and resumed', () => {
  const neurons = { target: 0.4, hidden: 0.25 };
  const weights = { granularity: { type: 'weight' }, target: 0.5, scope: 'matrix' };

  it.each([
    ['neurons', neurons, 11],
    ['layers', { granularity: { type: 'layer' }, target: 0.5 }, 20],
    ['taylor', { ...weights, importance: 'taylor' }, 11],
    ['random', { ...weights, importance: 'random', stepsPerEpoch: 4 }, 11],
    ['l0', { ...weights, importance: 'l0' }, 11],
    ['pst', { ...weights, importance: 'pst' }, 11],
    ['pst-late', { ...weights, importance: 'pst' }, 30],
    ['ticket', { ...weights, target: 0.5, epochs: 1, rewind: { epochs: 1, toStep: 5 } }, 8],
  ])('gives the same model (%s)', async (name, settings, stopAt) => {
    const { folder: whole } = await prune(`whole-${name}`, settings);
    const config = STAGES.prune.schema.parse({ ...QUICK, epochs: 3, pruningEpochs: 1, ...settings });
    const abort = new AbortController();
    const metric: StageContext['metric'] = (_, step) => {
      if (step === stopAt) abort.abort();
    };
    const first = STAGES.prune.run(config, { ...context(`resumed-${name}`, trained), metric, signal: abort.signal });
    await expect(first).rejects.toMatchObject({ code: 'cancelled' });
    const { folder: resumed } = await prune(`resumed-${name}`, settings);
    const [expected, actual] = await Promise.all([readBundle(whole), readBundle(resumed)]);
    expect(Buffer.from(writeModel(actual.model)).equals(writeModel(expected.model))).toBe(true);
  });
});

describe('targets by sensitivity', () => {
  it('gives most to the components that suffer least, in pruning and in factorizing', async () => {
    const choices = [{ type: 'prune' }, { type: 'rank' }];
    const analysis = STAGES.sensitivity.schema.parse({
      choices,
      rows: 40,
      cells: false,
      latency: { sequence: 8, seconds: 0.1 },
    });
    const ranked = await STAGES.sensitivity.run(analysis, context('ranked', trained));
    const model = join(folder, 'ranked', 'output', ranked.model!);
    const previews = { model: (await readBundle(model)).manifest, datasets: {} };
    const settings = { ...QUICK, target: 0.4, bySensitivity: true };
    expect(pruneIssues(pruneSchema.parse(settings), previews)).toEqual([]);
    const sensitive = await STAGES.prune.run(STAGES.prune.schema.parse(settings), context('sensitive', model));
    expect(accuracyOf(sensitive)).toBeGreaterThan(0.9);
    const table = sensitive.sections.find(({ title }) => title === 'Targets by sensitivity');
    const { rows } = table as Extract<typeof table, { kind: 'table' }>;
    expect(rows.map(([name]) => name)).toEqual(['W_Q', 'W_V', 'W_I']);
    const harm = (row: (typeof rows)[number]): number => Number(row[2]) / (row[0] === 'W_I' ? 2 : 1); // twice the units
    const [least, , worst] = [...rows].sort((a, b) => harm(a) - harm(b));
    expect(parseFloat(String(least[1]))).toBeGreaterThanOrEqual(parseFloat(String(worst[1])));

    const thin = factorizeSchema.parse({
      ...QUICK,
      epochs: 0,
      method: 'svd',
      minimumRank: 1,
      multipleOf: 1,
      bySensitivity: true,
    });
    const plain = { ...thin, bySensitivity: false };
    const ranksOf = async (config: FactorizeConfig, name: string): Promise<unknown> => {
      const { sections } = await STAGES.factorize.run(config, context(name, model));
      return sections.find(({ kind }) => kind === 'heatmap');
    };
    expect(await ranksOf(thin, 'thin')).not.toEqual(await ranksOf(plain, 'thin-plain'));
  });

  it('needs the stage, and a budget to divide', async () => {
    const { manifest } = await readBundle(trained);
    const tried = (choices: string[]): Manifest => ({
      ...manifest,
      provenance: [...manifest.provenance, { step: 'sensitivity', detail: { choices } }],
    });
    const pathsOf = (settings: object, model: Manifest): string[] =>
      pruneIssues(pruneSchema.parse({ bySensitivity: true, ...settings }), { model, datasets: {} }).map(
        ({ path }) => path,
      );
    expect(pathsOf({}, manifest)).toEqual(['bySensitivity']);
    expect(pathsOf({}, tried(['int8', 'rank 25 %']))).toEqual(['bySensitivity']);
    const ready = tried(['prune 50 %']);
    expect(pathsOf({}, ready)).toEqual([]);
    expect(pathsOf({ targets: { W_I: 0.5 } }, ready)).toEqual(['targets']);
    expect(pathsOf({ target: 0.99 }, ready)).toEqual(['target']);
    expect(pathsOf({ granularity: { type: 'layer' } }, ready)).toEqual(['granularity']);
    const factorized = (budget: object, model: Manifest): string[] =>
      factorizeIssues(factorizeSchema.parse({ method: 'svd', budget, bySensitivity: true }), {
        model,
        datasets: {},
      }).map(({ path }) => path);
    expect(factorized({ type: 'parameters', share: 0.5 }, tried(['rank 25 %']))).toEqual([]);
    expect(factorized({ type: 'rank', rank: 8 }, ready)).toEqual(['budget.type', 'bySensitivity']);
    const config = STAGES.prune.schema.parse({ bySensitivity: true });
    await expect(STAGES.prune.run(config, context('unranked', trained))).rejects.toMatchObject({
      code: 'sensitivity.missing',
    });
  });
});

describe('the report', () => {
  it('says which part of the removed share became latency, and how the dense model scored', async () => {
    const { result } = await prune('analysis', { target: 0.5 });
    const table = result.sections.find(({ title }) => title.startsWith('Which part'));
    expect(table).toMatchObject({ kind: 'table' });
    const rows = (table as Extract<typeof table, { kind: 'table' }>).rows;
    expect(rows.map(([name]) => name)).toEqual(expect.arrayContaining(['FLOPs', 'time of a pass', 'linear layers']));
    expect(result.measurements).toContainEqual(expect.objectContaining({ metric: 'accuracy', subject: 'baseline' }));
  });

  it('warns of a collapse, with its step', async () => {
    const settings = { target: 0, targets: { W_I: 1, W_V: 0.99 }, epochs: 1, pruningEpochs: 1, importance: 'random' };
    const { result } = await prune('collapse', { ...settings, optimizer: { learningRate: 1e-6 } });
    expect(result.warnings.join()).toMatch(/accuracy collapsed from .* by step 15 and did not recover/);
  });
});

describe('refusals at submit', () => {
  const codes = async (settings: object): Promise<string[]> => {
    const { manifest } = await readBundle(trained);
    return pruneIssues(pruneSchema.parse(settings), { model: manifest, datasets: {} }).map(({ code }) => code);
  };

  it.each([
    [{ epochs: 2, pruningEpochs: 3 }, 'phase-too-long'],
    [{ epochs: 4, warmupEpochs: 2, pruningEpochs: 3 }, 'phase-too-long'],
    [{ granularity: { type: 'head' }, target: 1 }, 'nothing-left'],
    [{ target: 0.9, floor: 0.5 }, 'target-above-floor'],
    [{ granularity: { type: 'n-of-m', keep: 2, of: 5 } }, 'pattern-size'],
    [{ granularity: { type: 'n-of-m', keep: 4, of: 4 } }, 'n-of-m'],
    [{ importance: 'movement' }, 'importance'],
    [{ granularity: { type: 'weight' }, importance: 'pst', epochs: 0 }, 'needs-training'],
    [{ granularity: { type: 'neuron' }, rewind: {} }, 'rewind-structured'],
    [{ target: 0 }, 'nothing-to-prune'],
    [{ targets: { W_P: 0.5 } }, 'no-output-neurons'],
    [{ granularity: { type: 'head' }, targets: { W_AO: 0.5 } }, 'no-output-neurons'],
    [{ hidden: 1 }, 'nothing-left'],
    [{ granularity: { type: 'weight' }, hidden: 0.5 }, 'hidden-unstructured'],
    [{ hidden: 0.6, target: 0.1, floor: 0.5 }, 'target-above-floor'],
  ])('%j is refused as %s', async (settings, code) => {
    expect(await codes(settings)).toContain(code);
  });

  it('names a component that the model lacks and a structure that is not known', async () => {
    const { manifest } = await readBundle(trained);
    const foreign = { ...manifest, components: [], structure: undefined };
    const issues = pruneIssues(pruneSchema.parse({ targets: { W_P: 0.5 } }), { model: foreign, datasets: {} });
    expect(issues.map(({ code }) => code)).toEqual(expect.arrayContaining(['no-component', 'no-structure']));
  });

  it('names what cannot be cut out of a graph that another toolchain made', async () => {
    const { manifest } = await readBundle(trained);
    const model: Manifest = { ...manifest, architecture: 'foreign' };
    const pathsOf = (settings: object): string[] =>
      pruneIssues(pruneSchema.parse(settings), { model, datasets: {} }).map(({ path }) => path);
    expect(pathsOf({})).toEqual([]);
    expect(pathsOf({ hidden: 0.1 })).toEqual(['hidden']);
    expect(pathsOf({ heads: 'exact', targets: { W_I: 1 } })).toEqual(['heads', 'target']);
    expect(pathsOf({ granularity: { type: 'layer' } })).toEqual(['granularity']);
    expect(pathsOf({ targets: { W_O: 0.5 } })).toEqual(['targets']);
  });

  it('names a vocabulary that cannot be cut', async () => {
    const { manifest } = await readBundle(trained);
    const settings = pruneSchema.parse({ vocabulary: {} });
    for (const change of [{ task: 'masked-lm' as const }, { tokenizer: undefined }]) {
      const issues = pruneIssues(settings, { model: { ...manifest, ...change }, datasets: {} });
      expect(issues.map(({ code }) => code)).toContain('vocabulary');
    }
  });

  it('does not run on a model that has no classifier for the labels', async () => {
    const bundle = await readBundle(trained);
    const other = join(folder, 'other-labels');
    await writeBundle(other, { ...bundle, labels: ['w', 'x', 'y', 'z'] });
    await expect(STAGES.prune.run(STAGES.prune.schema.parse({}), context('refused', other))).rejects.toMatchObject({
      code: 'prune.labels',
    });
  });
});
