import fc from 'fast-check';
import { packTexts, separateTexts } from './pack';

const [START, END] = [1, 2];
const texts = fc.array(fc.array(fc.integer({ min: 3, max: 99 }), { maxLength: 20 }), { maxLength: 12 });

describe('rows of text', () => {
  it('packs the stream of texts without loss into rows of one length', () => {
    fc.assert(
      fc.property(texts, fc.integer({ min: 2, max: 16 }), fc.boolean(), (given, length, marked) => {
        const start = marked ? START : undefined;
        const rows = [...packTexts(given, length, { start, end: END })];
        expect(rows.slice(0, -1).every((row) => row.length === length)).toBe(true);
        expect(rows.every((row) => row.length <= length && (!marked || row[0] === START))).toBe(true);
        const stream = rows.flatMap((row) => row.slice(marked ? 1 : 0));
        expect(stream).toEqual(given.flatMap((text) => [...text, END]));
      }),
    );
  });

  it('keeps an end token that is there already', () => {
    expect([...packTexts([[5, END], [6]], 8, { start: START, end: END })]).toEqual([[START, 5, END, 6, END]]);
  });

  it('puts each text into a row of its own and cuts it', () => {
    const rows = [...separateTexts([[5, 6, 7, 8], [9]], 4, { start: START, end: END })];
    expect(rows).toEqual([
      [START, 5, 6, 7],
      [START, 9, END],
    ]);
  });
});
