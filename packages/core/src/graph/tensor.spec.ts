import { Tensor } from '.';

describe('Tensor', () => {
  it('is a view of the bytes it is given', () => {
    const slab = new Float32Array(8);
    const tensor = Tensor.float32([2], slab.subarray(3, 5));
    tensor.data[1] = 7;
    expect(slab[4]).toBe(7);
    expect(tensor.reshape([1, 2]).bytes).toBe(tensor.bytes);
  });

  it('reads elements from bytes at any offset', () => {
    const file = new Uint8Array(13);
    file.set(new Uint8Array(Float32Array.of(1.5, -2).buffer), 5);
    expect(new Tensor('float32', [2], file.subarray(5)).toNumbers()).toEqual([1.5, -2]);
  });

  it('packs two 4-bit elements in a byte', () => {
    expect(new Tensor('uint4', [3], new Uint8Array(2)).size).toBe(3);
  });

  it('refuses bytes that do not fit its dimensions', () => {
    expect(() => new Tensor('int64', [2], new Uint8Array(8))).toThrow(
      'A int64[2] tensor needs 16 bytes, but 8 were given.',
    );
  });
});
