/** @file Codes of b bits as b bit planes: bit i of byte j of plane p is bit p of code 8 j + i. */

/** Bytes of one plane. */
export const planeBytes = (count: number): number => Math.ceil(count / 8);

/** @returns [bits * planeBytes(count)], plane after plane */
export function packCodes(codes: Uint8Array, bits: number): Uint8Array {
  const size = planeBytes(codes.length);
  const packed = new Uint8Array(bits * size);
  for (let i = 0; i < codes.length; i++) {
    for (let p = 0; p < bits; p++) packed[p * size + (i >> 3)] |= ((codes[i] >> p) & 1) << (i & 7);
  }
  return packed;
}

/** What `packCodes` packed. */
export function unpackCodes(packed: Uint8Array, bits: number, count: number): Uint8Array {
  const size = planeBytes(count);
  const codes = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    for (let p = 0; p < bits; p++) codes[i] |= ((packed[p * size + (i >> 3)] >> (i & 7)) & 1) << p;
  }
  return codes;
}
