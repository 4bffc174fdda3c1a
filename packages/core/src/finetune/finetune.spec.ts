import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '../bundle';
import { STAGES } from '../stages';
import type { StageContext, StageResult } from '../stages';
import { figureOf, stageContext, writeColours } from './testing';

let folder: string;
let dataset: string;
let body: string;

const training = { batchSize: 16, maxLength: 8, optimizer: { learningRate: 3e-3 }, dropout: 0.1 };
const scratch = { layers: 2, hidden: 32, heads: 2, ffn: 64, vocabulary: 120 };

async function finetune(
  name: string,
  settings: object,
  model?: string,
  changes: Partial<StageContext> = {},
): Promise<{ result: StageResult; out: string }> {
  const config = STAGES.finetune.schema.parse({ ...training, ...settings });
  const context = { ...stageContext(join(folder, name), dataset, model), ...changes };
  const result = await STAGES.finetune.run(config, context);
  return { result, out: join(context.output, result.model!) };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'modelpress-finetune-'));
  dataset = writeColours(join(folder, 'data'));
  body = (await finetune('body', { epochs: 8, scratch })).out;
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('methods', () => {
  it('trains a model and its tokenizer from scratch', async () => {
    const { manifest, labels, tokenizerFiles } = await readBundle(body);
    expect(labels).toEqual(['red', 'green', 'blue', 'white']);
    expect(manifest.architecture).toBe('bert');
    expect(tokenizerFiles.get('vocab.txt')!.toString()).toContain('white');
  });

  it.each([
    { architecture: 'textcnn', embedding: 16, kernels: [1, 2], filters: 16, vocabulary: 120 },
    { architecture: 'bilstm', embedding: 16, hidden: 16, dense: 16, vocabulary: 120 },
  ])('trains a $architecture from scratch', async (words) => {
    const optimizer = { learningRate: 1e-2 };
    const { result, out } = await finetune(words.architecture, { epochs: 12, scratch: words, optimizer });
    expect(figureOf(result, 'accuracy')).toBeGreaterThan(0.9);
    const { manifest } = await readBundle(out);
    expect(manifest.architecture).toBe(words.architecture);
    expect(() => STAGES.finetune.schema.parse({ scratch: { ...words, heads: 2 } })).toThrow('heads');
  });

  it.each([
    ['full', 1],
    ['lora', 0.2],
    ['adapters', 0.4],
    ['prefix', 0.2],
  ])('%s keeps a model good and trains at most its share of the weights', async (type, share) => {
    const options = {
      lora: { rank: 2, targets: ['W_Q', 'W_V'] },
      adapters: { size: 8 },
      prefix: { length: 2 },
      full: {},
    }[type];
    const { result } = await finetune(`method-${type}`, { epochs: 2, method: { type, ...options } }, body);
    expect(figureOf(result, 'accuracy')).toBeGreaterThan(0.95);
    const { manifest } = await readBundle(body);
    expect(figureOf(result, 'parameters.trainable') / manifest.parameters.total).toBeLessThanOrEqual(share);
  });

  it('merges LoRA: the result has the original graph and other weights', async () => {
    const { out } = await finetune('merged', { epochs: 1, method: { type: 'lora', rank: 2 } }, body);
    const [before, after] = await Promise.all([readBundle(body), readBundle(out)]);
    expect(after.model.graph.nodes.map((node) => node.opType)).toEqual(
      before.model.graph.nodes.map((node) => node.opType),
    );
    const query = before.manifest.components.find(({ component }) => component === 'W_Q')!.weight;
    expect(after.model.graph.value(query).constant!.data).not.toEqual(before.model.graph.value(query).constant!.data);
  });

  it('gives a body with other labels a fresh head and says so', async () => {
    const other = join(folder, 'two-labels');
    cpSync(dataset, other, { recursive: true });
    const info = JSON.parse(readFileSync(join(other, 'dataset.json'), 'utf8')) as { labels: string[] };
    const rename = (label: string): string => (label === 'red' || label === 'blue' ? 'primary' : 'other');
    writeFileSync(join(other, 'dataset.json'), JSON.stringify({ ...info, labels: ['other', 'primary'] }));
    for (const split of ['train', 'dev', 'test']) {
      const path = join(other, `${split}.jsonl`);
      writeFileSync(
        path,
        readFileSync(path, 'utf8').replace(/"label":"(\w+)"/g, (_, label: string) => `"label":"${rename(label)}"`),
      );
    }
    const { result, out } = await finetune('relabelled', { epochs: 4 }, body, { datasets: { data: other } });
    expect(result.warnings.join()).toContain('classifier.weight');
    expect((await readBundle(out)).labels).toEqual(['other', 'primary']);
    expect(figureOf(result, 'accuracy')).toBeGreaterThan(0.95);
  });
});

describe('a run', () => {
  /** Loss by step of a run; cancelled after `until` steps where given. */
  async function losses(name: string, until?: number): Promise<Map<number, number>> {
    const seen = new Map<number, number>();
    const abort = new AbortController();
    const metric: StageContext['metric'] = (figure, step, value) => {
      if (figure === 'loss') seen.set(step, value);
      if (step === until) abort.abort();
    };
    const run = finetune(name, { epochs: 3 }, body, { metric, signal: abort.signal });
    if (until === undefined) await run;
    else await run.catch((error: unknown) => (error as { code?: string }).code);
    return seen;
  }

  it('that is cancelled continues on the same loss curve', async () => {
    const whole = await losses('whole');
    const first = await losses('parts', 20);
    expect(existsSync(join(folder, 'parts', 'checkpoints', 'train', 'last.ckpt'))).toBe(true);
    const second = await losses('parts');
    expect(Math.max(...first.keys())).toBe(20);
    expect(Math.min(...second.keys())).toBe(21);
    expect(new Map([...first, ...second])).toEqual(whole);
  });

  it('gives the same weights for the same seed', async () => {
    const weights = async (name: string): Promise<unknown> => {
      const { out } = await finetune(name, { epochs: 1 }, body);
      return (await readBundle(out)).model.graph.initializers.map(({ constant }) => constant!.data);
    };
    expect(await weights('same-1')).toEqual(await weights('same-2'));
  });

  it('stops when patience runs out and keeps the best weights', async () => {
    const { result } = await finetune('patience', { epochs: 30, patience: 2 }, body);
    expect(figureOf(result, 'train.steps')).toBeLessThan(30 * 15);
    expect(figureOf(result, 'accuracy')).toBeGreaterThan(0.95);
  });
});

describe('refusals', () => {
  it('name what is missing', async () => {
    await expect(finetune('nothing', {})).rejects.toMatchObject({ code: 'finetune.no-model' });
    const wide = { method: { type: 'lora', rank: 64 } };
    await expect(finetune('wide', wide, body)).rejects.toMatchObject({ code: 'adapt.rank' });
  });

  it('come before queueing where they can', async () => {
    const { manifest } = await readBundle(body);
    const check = (settings: object): string[] =>
      STAGES.finetune.check!(STAGES.finetune.schema.parse(settings), { model: manifest, datasets: {} }).map(
        ({ code }) => code,
      );
    expect(check({ scratch, method: { type: 'lora' } })).toEqual(['method-from-scratch']);
    expect(check({})).toEqual([]);
  });
});
