import * as fc from 'fast-check';
import { attachment, parseRange } from './download';

describe('parseRange', () => {
  it.each([
    ['bytes=0-0', 10, { start: 0, end: 0 }],
    ['bytes=5-', 10, { start: 5, end: 9 }],
    ['bytes=5-100', 10, { start: 5, end: 9 }],
    ['bytes=-3', 10, { start: 7, end: 9 }],
    ['bytes=-100', 10, { start: 0, end: 9 }],
    [undefined, 10, undefined],
    ['bytes=-', 10, undefined],
    ['bytes=5-3', 10, undefined],
    ['bytes=0-1,4-5', 10, undefined],
    ['lines=0-1', 10, undefined],
  ])('reads %s of %d bytes', (header, bytes, range) => expect(parseRange(header, bytes)).toEqual(range));

  it.each(['bytes=10-', 'bytes=10-12', 'bytes=-0'])('refuses %s of 10 bytes', (header) => {
    expect(() => parseRange(header, 10)).toThrow(expect.objectContaining({ code: 'request.range' }));
  });

  it('never leaves the file', () => {
    fc.assert(
      fc.property(fc.nat(100), fc.nat(200), fc.integer({ min: 1, max: 100 }), (first, last, bytes) => {
        fc.pre(first < bytes && first <= last);
        expect(parseRange(`bytes=${first}-${last}`, bytes)).toEqual({ start: first, end: Math.min(last, bytes - 1) });
      }),
    );
  });
});

it('names attachments without breaking the header', () => {
  expect(attachment('a "b"\r\nx: ü.tar')).toBe('attachment; filename="a_b_x_.tar"');
});
