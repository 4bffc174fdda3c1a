import { z } from 'zod';
import { unsupported } from '../../errors';
import type { TokenizerComponent } from '../tokenizer-definition';

type Ids = readonly number[];

/** Special tokens around one text, and around and between two. */
export interface Template {
  readonly single: readonly [before: Ids, after: Ids];
  readonly pair: readonly [before: Ids, between: Ids, after: Ids];
  /** How many tokens of `between` still have type 0, as the first text; undefined: all tokens of a pair have type 0. */
  readonly firstOfBetween: number | undefined;
}

const PLAIN: Template = { single: [[], []], pair: [[], [], []], firstOfBetween: 0 };

const namedId = z.tuple([z.string(), z.int()]);
const processing = z.object({ sep: namedId, cls: namedId });

const templatePiece = z.union([
  z.object({ SpecialToken: z.object({ id: z.string(), type_id: z.int() }) }),
  z.object({ Sequence: z.object({ id: z.enum(['A', 'B']), type_id: z.int() }) }),
]);
type TemplatePiece = z.infer<typeof templatePiece>;

const templateProcessing = z.object({
  single: z.array(templatePiece),
  pair: z.array(templatePiece),
  special_tokens: z.record(z.string(), z.object({ ids: z.array(z.int()) })),
});
type TemplateProcessing = z.infer<typeof templateProcessing>;

/** Reads a tokenizer.json's `post_processor`. @throws ModelpressError `tokenizer.template` for a form we do not know. */
export function readTemplate(component: TokenizerComponent | null): Template {
  switch (component?.type) {
    case undefined:
    case 'ByteLevel':
      return PLAIN;
    case 'BertProcessing': {
      const [cls, sep] = specialIds(component);
      return { single: [[cls], [sep]], pair: [[cls], [sep], [sep]], firstOfBetween: 1 };
    }
    case 'RobertaProcessing': {
      const [cls, sep] = specialIds(component);
      return { single: [[cls], [sep]], pair: [[cls], [sep, sep], [sep]], firstOfBetween: undefined };
    }
    case 'TemplateProcessing':
      return readPieces(parse(templateProcessing, component));
    case 'Sequence': {
      const { processors } = parse(z.object({ processors: z.array(z.looseObject({ type: z.string() })) }), component);
      const [only, ...others] = processors.filter(({ type }) => type !== 'ByteLevel');
      if (others.length > 0) throw unknownTemplate('several post-processors');
      return readTemplate(only ?? null);
    }
    default:
      throw unknownTemplate(`post-processor ${component?.type}`);
  }
}

function specialIds(component: TokenizerComponent): [cls: number, sep: number] {
  const { cls, sep } = parse(processing, component);
  return [cls[1], sep[1]];
}

function readPieces(template: TemplateProcessing): Template {
  const single = splitAtTexts(template.single, ['A'], template);
  const pair = splitAtTexts(template.pair, ['A', 'B'], template);
  const allFirst = /^0+$/.test(pair.types);
  if (!/^0+$/.test(single.types) || !(allFirst || /^0+1+$/.test(pair.types)) || (pair.secondType === 0) !== allFirst) {
    throw unknownTemplate('token types other than 0 for the first text and 1 for the second');
  }
  const ids = (group: number): Ids => pair.groups[group]?.map(({ id }) => id) ?? [];
  return {
    single: [single.groups[0]?.map(({ id }) => id) ?? [], single.groups[1]?.map(({ id }) => id) ?? []],
    pair: [ids(0), ids(1), ids(2)],
    firstOfBetween: allFirst ? undefined : pair.groups[1]?.filter(({ type }) => type === 0).length,
  };
}

interface SplitTemplate {
  /** Special tokens before, between and after the texts. */
  readonly groups: readonly (readonly { id: number; type: number }[])[];
  /** Type of everything in order, one digit each. */
  readonly types: string;
  readonly secondType: number | undefined;
}

function splitAtTexts(
  pieces: readonly TemplatePiece[],
  texts: readonly string[],
  { special_tokens: specials }: TemplateProcessing,
): SplitTemplate {
  const groups: { id: number; type: number }[][] = [[]];
  const textTypes: number[] = [];
  let types = '';
  for (const piece of pieces) {
    if ('Sequence' in piece) {
      if (piece.Sequence.id !== texts[textTypes.length]) throw unknownTemplate('texts out of order');
      textTypes.push(piece.Sequence.type_id);
      types += piece.Sequence.type_id;
      groups.push([]);
    } else {
      const { id: name, type_id: type } = piece.SpecialToken;
      const special = specials[name];
      if (special === undefined) throw unknownTemplate(`token ${name} without an id`);
      for (const id of special.ids) groups.at(-1)?.push({ id, type });
      types += String(type).repeat(special.ids.length);
    }
  }
  if (textTypes.length !== texts.length) throw unknownTemplate('a missing text');
  return { groups, types, secondType: textTypes[1] };
}

function parse<T>(schema: z.ZodType<T>, component: TokenizerComponent): T {
  const parsed = schema.safeParse(component);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw unknownTemplate(`${component.type}: ${issue?.path.join('.')}: ${issue?.message}`);
}

const unknownTemplate = (what: string) =>
  unsupported('tokenizer.template', `The tokenizer adds special tokens in a way modelpress does not know: ${what}.`, {
    file: 'tokenizer.json',
    field: 'post_processor',
  });
