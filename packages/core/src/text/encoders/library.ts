import { Tokenizer } from '@huggingface/tokenizers';
import type { TokenizerSource } from '../tokenizer-definition';

/** What we use of `@huggingface/tokenizers`, whose own type files do not resolve under `nodenext`. */
export interface LibraryTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
}

/** The library's tokenizer for a definition. It changes what it is given, hence the copies. */
export const libraryTokenizer = ({ definition, config }: TokenizerSource): LibraryTokenizer =>
  new Tokenizer(structuredClone(definition), structuredClone(config));
