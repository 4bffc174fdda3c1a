import fc from 'fast-check';
import { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto } from './proto';
import { tolerateRefusal } from './testing';
import { create, decode, encode } from './wire';

const utf8 = fc.string({ unit: 'grapheme' });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const integers = fc.array(int64).map((values) => BigInt64Array.from(values));
const bytes = fc.uint8Array();

const tensors = fc
  .record({ name: utf8, dims: integers, dataType: fc.nat(22), rawData: bytes, int64Data: integers })
  .map((values) => create(TensorProto, values));

const attributes = fc
  .record({
    name: utf8,
    type: fc.nat(8),
    f: fc.float({ noNaN: true }),
    i: int64,
    s: utf8,
    t: tensors,
    ints: integers,
    floats: fc.float32Array({ noNaN: true }).map((values) => new Uint8Array(values.buffer)),
    strings: fc.array(utf8),
  })
  .map((values) => create(AttributeProto, values));

const bytesOf = (proto: AttributeProto): Uint8Array => encode(AttributeProto, proto).finish();

describe('wire', () => {
  it('reads what it wrote, whatever the fields', () => {
    fc.assert(
      fc.property(attributes, (attribute) => {
        expect(decode(AttributeProto, bytesOf(attribute))).toEqual(attribute);
      }),
    );
  });

  it('writes bytes that protobuf defines', () => {
    // https://protobuf.dev/programming-guides/encoding: field 3 with -1 takes ten bytes; field 8 is packed
    const encoded = bytesOf(create(AttributeProto, { i: -1n, ints: BigInt64Array.of(3n, 270n, 86942n) }));
    expect(Buffer.from(encoded).toString('hex')).toBe(`18${'ff'.repeat(9)}014206038e029ea705`);
  });

  it('accepts repeated numbers that are not packed', () => {
    const unpacked = Uint8Array.of(0x40, 3, 0x40, 0x8e, 2); // ints: 3, 270
    expect(decode(AttributeProto, unpacked).ints).toEqual(BigInt64Array.of(3n, 270n));
  });

  it('ignores unknown fields', () => {
    const unknown = Uint8Array.of(0xfa, 0x3f, 2, 1, 2); // field 1023, two bytes
    expect(decode(AttributeProto, unknown)).toEqual(create(AttributeProto, {}));
  });

  it('does not copy tensor data on reading, and once on writing', () => {
    const rawData = new Uint8Array(1000).fill(7);
    const encoded = encode(TensorProto, create(TensorProto, { rawData })).finish();
    const read = decode(TensorProto, encoded).rawData;
    expect(read?.buffer).toBe(encoded.buffer);
    expect(read).toEqual(rawData);
  });

  it('refuses whatever is cut off with an error of its own', () => {
    fc.assert(
      fc.property(attributes, fc.double({ min: 0, max: 1, noNaN: true }), (attribute, where) => {
        const encoded = bytesOf(attribute);
        const cut = encoded.subarray(0, Math.floor(encoded.length * where));
        expect(() => tolerateRefusal(() => decode(AttributeProto, cut))).not.toThrow();
      }),
    );
    const tensor = encode(TensorProto, create(TensorProto, { rawData: new Uint8Array(9) })).finish();
    expect(() => decode(TensorProto, tensor.subarray(0, -1))).toThrow(/longer than what is left/);
  });

  it('refuses garbage with an error of its own', () => {
    fc.assert(
      fc.property(bytes, (garbage) => {
        expect(() => tolerateRefusal(() => decode(ModelProto, garbage))).not.toThrow();
      }),
    );
  });

  it('refuses more fields than a model can have', () => {
    const file = new Uint8Array(8_200_000);
    for (let i = 0; i < file.length; i += 2) file[i] = 0x0a; // empty messages
    expect(() => decode(GraphProto, file)).toThrow(/more than 4000000 fields/);
  });

  it('refuses bottomless nesting', () => {
    // an attribute whose graph has a node with an attribute whose graph ...
    let nested = create(AttributeProto, {});
    for (let i = 0; i < 40; i++) {
      const node = create(NodeProto, { attribute: [nested] });
      nested = create(AttributeProto, { g: create(GraphProto, { node: [node] }) });
    }
    const encoded = bytesOf(nested);
    expect(() => decode(AttributeProto, encoded)).toThrow(/nested more than 64 deep/);
  });
});
