/** @file Rows of unlabelled text: one text a row, or the stream of all texts cut into rows of one length. */

/** Tokens that mark texts. */
export interface TextMarks {
  /** Begins every row, if there is such a token. */
  readonly start: number | undefined;
  /** Ends every text. */
  readonly end: number;
}

/**
 * Cuts the stream of texts into rows of `length` tokens, each text followed by the end token and every row begun by the
 * start token (RoBERTa's "full sentences", Liu et al. 2019, section 4.2). The last row may be shorter.
 * @param texts token ids without the start token; the end token may be there or not
 */
export function* packTexts(
  texts: Iterable<ArrayLike<number>>,
  length: number,
  { start, end }: TextMarks,
): Generator<number[]> {
  const first = start === undefined ? [] : [start];
  let row = [...first];
  for (const text of texts) {
    for (const id of ended(text, end)) {
      row.push(id);
      if (row.length < length) continue;
      yield row;
      row = [...first];
    }
  }
  if (row.length > first.length) yield row;
}

/** One row a text, cut at `length` tokens; marks as in `packTexts`. */
export function* separateTexts(
  texts: Iterable<ArrayLike<number>>,
  length: number,
  { start, end }: TextMarks,
): Generator<number[]> {
  const first = start === undefined ? [] : [start];
  for (const text of texts) yield [...first, ...ended(text, end)].slice(0, length);
}

/** A text with the end token after it. */
function* ended(text: ArrayLike<number>, end: number): Generator<number> {
  for (let i = 0; i < text.length; i++) yield text[i];
  if (text[text.length - 1] !== end) yield end;
}
