import { readFileSync } from 'node:fs';
import { describeWithShared, sharedPath } from '../../../../tools/shared-fixtures';
import { Tokenizer, loadTokenizer } from './tokenizer';
import { parseTokenizerSource } from './tokenizer-definition';
import { readTokenizerSource } from './tokenizer-files';

interface TokenizerFixture {
  readonly files: string;
  readonly config: { model: object };
  readonly lines: readonly { text: string; ids: number[]; ids_no_special: number[] }[];
  readonly pairs_truncated_to_24: readonly { text: string; pair: string; ids: number[]; type_ids: number[] }[];
  readonly single_truncated_to_24: readonly { text: string; ids: number[] }[];
  readonly decode: readonly { ids: number[]; text: string }[];
}
interface Cases {
  readonly max_length: number;
  readonly pad_id: number;
  readonly cases: readonly { text: string; pair: string | null; input_ids: number[]; token_type_ids?: number[] }[];
}

const readJson = (...parts: string[]) => JSON.parse(readFileSync(sharedPath(...parts), 'utf8'));
const typeIds = ({ ids, firstLength }: { ids: number[]; firstLength: number }): number[] =>
  ids.map((_, i) => (i < firstLength ? 0 : 1));

describeWithShared('Tokenizer on the reference vocabularies', () => {
  const names = [
    'bert-base-uncased',
    'bert-base-cased',
    'bert-base-chinese',
    'bert-base-chinese-lowercase',
    'gpt2',
    'roberta-base',
  ];

  /** The reference states the pipeline without its vocabulary; the vocabulary comes through our own readers. */
  async function fromFixture(fixture: TokenizerFixture): Promise<Tokenizer> {
    const folder = sharedPath('data', fixture.files.replace(/\/[^/]*$/, ''));
    const { definition, config } = await readTokenizerSource(folder);
    const { vocab, merges } = definition.model;
    return new Tokenizer(
      parseTokenizerSource({ ...fixture.config, model: { ...fixture.config.model, vocab, merges } }, config),
    );
  }

  it.each(names)('%s: ids of all lines, pairs, truncations and decodings are equal', async (name) => {
    const fixture: TokenizerFixture = readJson('fixtures', 'tokenizers', `${name}.json`);
    const tokenizer = await fromFixture(fixture);
    expect(fixture.lines).toHaveLength(200);
    for (const { text, ids, ids_no_special: plain } of fixture.lines) {
      expect([text, tokenizer.encode(text).ids]).toEqual([text, ids]);
      expect([text, tokenizer.encode(text, undefined, { specialTokens: false }).ids]).toEqual([text, plain]);
    }
    for (const { text, pair, ids, type_ids: types } of fixture.pairs_truncated_to_24) {
      const encoding = tokenizer.encode(text, pair, { maxLength: 24 });
      expect([text, pair, encoding.ids]).toEqual([text, pair, ids]);
      expect(typeIds(encoding)).toEqual(types);
    }
    for (const { text, ids } of fixture.single_truncated_to_24) {
      expect(tokenizer.encode(text, undefined, { maxLength: 24 }).ids).toEqual(ids);
    }
    for (const { ids, text } of fixture.decode) expect(tokenizer.decode(ids)).toBe(text);
  });

  it.each([
    ['bert-base-uncased', 'bert-base-uncased'],
    ['bert-base-cased', 'bert-base-cased'],
    ['gpt2', 'gpt2'],
    ['roberta-base', 'roberta-base'],
    ['all-MiniLM-L6-v2', 'bert-base-uncased'],
  ])('the files of %s alone give the pipeline of %s', async (folder, name) => {
    const fixture: TokenizerFixture = readJson('fixtures', 'tokenizers', `${name}.json`);
    const tokenizer = await loadTokenizer(sharedPath('data', 'vocab', folder));
    for (const { text, ids } of fixture.lines) expect([text, tokenizer.encode(text).ids]).toEqual([text, ids]);
  });
});

describeWithShared('Tokenizer on the Hugging Face checkpoints', () => {
  it.each(['bert', 'distilbert', 'roberta', 'gpt2', 'gpt2-lm'])('%s: every case', async (name) => {
    const { cases, max_length: maxLength, pad_id: padId }: Cases = readJson('fixtures', 'hf', name, 'cases.json');
    const tokenizer = await loadTokenizer(sharedPath('fixtures', 'hf', name));
    expect(tokenizer.padId).toBe(padId);
    expect(tokenizer.vocabularySize).toBe(2000);
    for (const { text, pair, input_ids: ids, token_type_ids: types } of cases) {
      const encoding = tokenizer.encode(text, pair ?? undefined, { maxLength });
      expect([text, encoding.ids]).toEqual([text, ids]);
      expect(types ?? typeIds(encoding)).toEqual(typeIds(encoding));
    }
  });
});
