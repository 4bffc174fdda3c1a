import fc from 'fast-check';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWithShared, sharedPath } from '../../../../tools/shared-fixtures';
import type { Bundle } from '../bundle';
import { importHuggingFace } from '../models';
import { ortRuntime } from '../runtime';
import { bytePairTokenizer, loadTokenizer, readTokenizerSource, Tokenizer } from '../text';
import type { TokenizerSource } from '../text/tokenizer-definition';
import { cutVocabulary } from './cut-vocabulary';
import { cutTokenizerFiles } from './tokenizer-cut';
import { idsByToken, keptVocabulary } from './vocabulary';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'modelpress-vocabulary-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const once = (ids: Iterable<number>): Map<number, number> => new Map([...ids].map((id) => [id, 1]));

async function logits({ model, manifest }: Bundle, ids: readonly number[]): Promise<number[]> {
  const executable = await ortRuntime.compile(model, { threads: 1 });
  const tensor = (data: readonly number[]) => ({
    dtype: 'int64' as const,
    dims: [1, data.length],
    data: BigInt64Array.from(data, BigInt),
  });
  const feeds = {
    input_ids: tensor(ids),
    attention_mask: tensor(ids.map(() => 1)),
    token_type_ids: tensor(ids.map(() => 0)),
  };
  const outputs = await executable.run(
    Object.fromEntries(manifest.inputs.map((name) => [name, feeds[name as keyof typeof feeds]])),
  );
  await executable.release();
  return [...(outputs[manifest.output].data as Float32Array)];
}

describeWithShared('cutting the vocabulary', () => {
  const files = (name: string, keepOldForm: boolean): string => {
    const dir = mkdtempSync(join(folder, `${name}-`));
    const wanted = keepOldForm
      ? ['vocab.txt', 'vocab.json', 'merges.txt', 'tokenizer_config.json']
      : ['tokenizer.json', 'tokenizer_config.json'];
    for (const file of [...wanted, 'config.json', 'model.safetensors']) {
      try {
        writeFileSync(join(dir, file), readFileSync(sharedPath('fixtures', 'hf', name, file)));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    return dir;
  };

  it.each([
    ['bert', false],
    ['bert', true],
    ['distilbert', false],
    ['roberta', false],
    ['roberta', true],
    ['gpt2', false],
  ])('%s (older files: %s): known texts keep their logits bit for bit', async (name, keepOldForm) => {
    const dir = files(name, keepOldForm);
    const { bundle } = await importHuggingFace(dir);
    const source = await readTokenizerSource(dir);
    const before = new Tokenizer(source);
    const { cases } = JSON.parse(readFileSync(sharedPath('fixtures', 'hf', name, 'cases.json'), 'utf8')) as {
      cases: { text: string; pair: string | null }[];
    };
    const encode = (tokenizer: Tokenizer, { text, pair }: (typeof cases)[number]): number[] =>
      tokenizer.encode(text, pair ?? undefined, { maxLength: 64 }).ids;
    const texts = fc.subarray(
      cases.filter((one) => encode(before, one).length > 0),
      { minLength: 1, maxLength: 3 },
    );
    await fc.assert(
      fc.asyncProperty(texts, async (known) => {
        const keep = keptVocabulary(source, once(known.flatMap((one) => encode(before, one))), 1);
        const cut = cutVocabulary(bundle, source, keep);
        const out = mkdtempSync(join(folder, 'cut-'));
        for (const [file, content] of cut.tokenizerFiles) writeFileSync(join(out, file), content);
        const after = await loadTokenizer(out);
        expect(after.vocabularySize).toBe(keep.ids.length);
        expect(after.padId).toBe(cut.manifest.tokenizer!.padId);
        expect(keep.ids.length).toBeLessThan(before.vocabularySize);
        for (const one of known) {
          const [old, renamed] = [encode(before, one), encode(after, one)];
          expect(renamed).toEqual(old.map((id) => keep.renumbered.get(id)));
          expect(await logits(cut, renamed)).toEqual(await logits(bundle, old));
        }
        // Any other text can still be read.
        for (const one of cases) for (const id of encode(after, one)) expect(id).toBeLessThan(keep.ids.length);
      }),
      { numRuns: 4 },
    );
  });

  it('spells words that it no longer has from the characters of those that it has', async () => {
    const source = await readTokenizerSource(sharedPath('fixtures', 'hf', 'bert'));
    const before = new Tokenizer(source);
    const keep = keptVocabulary(source, once(before.encode('the other one').ids), 1);
    const files = new Map([['tokenizer.json', readFileSync(sharedPath('fixtures', 'hf', 'bert', 'tokenizer.json'))]]);
    const tokens = idsByToken(source.definition);
    const out = mkdtempSync(join(folder, 'spelt-'));
    const cut = cutTokenizerFiles(files, keep, (token) => keep.renumbered.has(tokens.get(token) ?? -1));
    writeFileSync(join(out, 'tokenizer.json'), cut.get('tokenizer.json')!);
    const after = await loadTokenizer(out);
    expect(after.encode('there').ids).not.toContain(after.special.unk);
    expect(after.decode(after.encode('there').ids)).toBe('there');
  });

  it('refuses a language model, whose table is also its decoder', async () => {
    const dir = sharedPath('fixtures', 'hf', 'gpt2-lm');
    const { bundle } = await importHuggingFace(dir);
    const source = await readTokenizerSource(dir);
    const keep = keptVocabulary(source, once([5, 6]), 1);
    expect(() => cutVocabulary(bundle, source, keep)).toThrow(/also read by/);
  });
});

describe('kept tokens', () => {
  const bytes = Object.fromEntries(Array.from('abcdef').map((symbol, id) => [symbol, id]));
  const vocab = { ...bytes, ab: 6, cd: 7, abcd: 8, ef: 9, '<|endoftext|>': 10 };
  const source: TokenizerSource = bytePairTokenizer(vocab, ['a b', 'c d', 'ab cd', 'e f']);

  it('of byte-pair encoding lead to every kept token', () => {
    expect(keptVocabulary(source, once([8]), 1).ids).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 10]);
  });

  it('occur often enough', () => {
    const counts = new Map([
      [6, 3],
      [9, 2],
    ]);
    expect(keptVocabulary(source, counts, 3).ids).toEqual([0, 1, 2, 3, 4, 5, 6, 10]);
  });

  it('are not chosen from a Unigram vocabulary', () => {
    const unigram = {
      ...source,
      definition: { ...source.definition, model: { vocab: [['a', -1]] as [string, number][] } },
    };
    expect(() => keptVocabulary(unigram, once([0]), 1)).toThrow(/Unigram/);
  });
});
