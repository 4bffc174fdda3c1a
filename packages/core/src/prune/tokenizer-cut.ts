/** @file Tokenizer files rewritten for fewer tokens with new ids. */
import { z } from 'zod';
import type { TokenizerFiles } from '../bundle';
import { unsupported } from '../errors';
import type { TokenizerFile } from '../text/tokenizer-files';
import { partsOf } from './vocabulary';
import type { VocabularyKeep } from './vocabulary';

type Json = Record<string, unknown>;
type Rewrite = (text: string, cut: Cut) => string;

/** What a rewrite needs to know. */
interface Cut extends VocabularyKeep {
  /** Whether a token stays, by its text. */
  readonly has: (token: string) => boolean;
}

const json =
  (change: (content: Json, cut: Cut) => Json): Rewrite =>
  (text, cut) =>
    `${JSON.stringify(change(object(JSON.parse(text)), cut), null, 2)}\n`;

/** How each file changes. */
const REWRITES: Readonly<Record<TokenizerFile, Rewrite>> = {
  'tokenizer.json': json(cutDefinition),
  'tokenizer_config.json': json((config, cut) =>
    config['added_tokens_decoder'] === undefined
      ? config
      : { ...config, added_tokens_decoder: renumberKeys(object(config['added_tokens_decoder']), cut) },
  ),
  'special_tokens_map.json': (text) => text,
  'vocab.txt': (text, { ids }) => {
    const lines = text.split(/\r?\n/);
    return ids.map((id) => `${lines[id] ?? ''}\n`).join('');
  },
  'vocab.json': json(renumberValues),
  'merges.txt': (text, cut) => {
    const lines = text.split(/\r?\n/).filter((line) => line !== '');
    return lines.filter((line) => line.startsWith('#version') || keepsMerge(line, cut)).join('\n') + '\n';
  },
};

/**
 * The files of a tokenizer whose ids are those of the kept tokens, in their order.
 * @param has whether a token stays, by its text
 * @throws unsupported `prune.tokenizer` for a post-processor whose ids are not known
 */
export function cutTokenizerFiles(
  files: TokenizerFiles,
  keep: VocabularyKeep,
  has: (token: string) => boolean,
): TokenizerFiles {
  const cut = { ...keep, has };
  const rewritten = [...files].map(([name, content]): [string, Uint8Array] => {
    const text = Buffer.from(content).toString('utf8');
    return [name, Buffer.from(REWRITES[name as TokenizerFile](text, cut))];
  });
  return new Map(rewritten);
}

function cutDefinition(definition: Json, cut: Cut): Json {
  const model = object(definition['model']);
  const added = z.array(z.looseObject({ id: z.int() })).parse(definition['added_tokens'] ?? []);
  const merges = z
    .array(z.union([z.string(), z.tuple([z.string(), z.string()])]))
    .optional()
    .parse(model['merges']);
  const padding = definition['padding'];
  return {
    ...definition,
    added_tokens: added.map((token) => ({ ...token, id: cut.renumbered.get(token.id) })),
    post_processor: cutProcessor(definition['post_processor'] ?? null, cut),
    ...(padding ? { padding: { ...object(padding), pad_id: newId(object(padding)['pad_id'], cut) } } : {}),
    model: {
      ...model,
      vocab: renumberValues(object(model['vocab']), cut),
      ...(merges && { merges: merges.filter((merge) => keepsMerge(merge, cut)) }),
    },
  };
}

const namedId = z.tuple([z.string(), z.int()]);
const templateTokens = z.record(z.string(), z.looseObject({ ids: z.array(z.int()) }));

function cutProcessor(value: unknown, cut: Cut): Json | null {
  if (value === null) return null;
  const processor = object(value);
  const renumber = ([name, id]: [string, number]): [string, unknown] => [name, newId(id, cut)];
  switch (processor['type']) {
    case 'ByteLevel':
      return processor;
    case 'BertProcessing':
    case 'RobertaProcessing':
      return {
        ...processor,
        sep: renumber(namedId.parse(processor['sep'])),
        cls: renumber(namedId.parse(processor['cls'])),
      };
    case 'TemplateProcessing': {
      const tokens = Object.entries(templateTokens.parse(processor['special_tokens']));
      const renumbered = tokens.map(([name, token]) => [
        name,
        { ...token, ids: token.ids.map((id) => newId(id, cut)) },
      ]);
      return { ...processor, special_tokens: Object.fromEntries(renumbered) };
    }
    case 'Sequence':
      return {
        ...processor,
        processors: z
          .array(z.unknown())
          .parse(processor['processors'])
          .map((inner) => cutProcessor(inner, cut)),
      };
    default:
      throw unsupported(
        'prune.tokenizer',
        `The vocabulary cannot be pruned: it is not known which ids the post-processor ${String(processor['type'])} adds.`,
        { field: 'vocabulary', file: 'tokenizer.json' },
      );
  }
}

const newId = (id: unknown, { renumbered }: Cut): unknown => (typeof id === 'number' ? (renumbered.get(id) ?? id) : id);

const keepsMerge = (merge: string | readonly [string, string], { has }: Cut): boolean => {
  const [left, right] = partsOf(merge);
  return has(left) && has(right) && has(left + right);
};

/** Of ids by token: kept tokens with their new ids, in the order of these. */
function renumberValues(vocabulary: Json, { renumbered }: Cut): Json {
  const kept = Object.entries(vocabulary).flatMap(([token, id]): [string, number][] => {
    const renamed = renumbered.get(Number(id));
    return renamed === undefined ? [] : [[token, renamed]];
  });
  return Object.fromEntries(kept.sort(([, a], [, b]) => a - b));
}

/** Of tokens by id. */
function renumberKeys(tokens: Json, { renumbered }: Cut): Json {
  const kept = Object.entries(tokens).flatMap(([id, token]): [string, unknown][] => {
    const renamed = renumbered.get(Number(id));
    return renamed === undefined ? [] : [[String(renamed), token]];
  });
  return Object.fromEntries(kept);
}

const object = (value: unknown): Json => z.record(z.string(), z.unknown()).parse(value);
