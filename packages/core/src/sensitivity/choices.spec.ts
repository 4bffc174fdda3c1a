import { readBundle } from '../bundle';
import type { Bundle } from '../bundle';
import type { Tensor } from '../graph';
import { tinyBundle } from '../stages/testing';
import { choiceSchema, nameOf, treat } from './choices';
import { cellGroups, changedWeights, componentGroups, layerGroups } from './groups';

const Q0 = 'bert.encoder.layer.0.attention.self.query.weight';
const O0 = 'bert.encoder.layer.0.output.dense.weight';

describe('treatments', () => {
  let bundle: Bundle;
  beforeAll(async () => {
    bundle = await readBundle(await tinyBundle());
  });
  const treatment = (given: object) => treat(choiceSchema.parse(given), bundle.model, bundle.manifest.components);
  const values = (model: Bundle['model'], name: string): Float32Array =>
    (model.graph.value(name).constant as Tensor<'float32'>).data;

  it.each([
    { type: 'int8' },
    { type: 'weights', bits: 4 },
    { type: 'prune', share: 0.5 },
    { type: 'rank', share: 0.5 },
  ])('%j changes the chosen weights and nothing else, in a copy', (choice) => {
    const before = bundle.model.graph.value(Q0).constant;
    const { apply, weights, bytes } = treatment(choice);
    expect(weights).toContain(Q0);
    expect(changedWeights(bundle.model, apply([Q0]))).toEqual([Q0]);
    expect(changedWeights(bundle.model, apply([]))).toEqual([]);
    expect(bundle.model.graph.value(Q0).constant).toBe(before);
    expect(bytes(Q0)).toBeLessThanOrEqual(before!.bytes.byteLength);
  });

  it('prunes whole neurons: columns where they are outputs, with their biases; rows where they are inputs', () => {
    const { apply, flopsKept } = treatment({ type: 'prune', share: 0.25 });
    const pruned = apply([Q0, O0]);
    const [query, output] = [values(pruned, Q0), values(pruned, O0)];
    const zeroColumns = Array.from({ length: 32 }, (_, column) => column).filter((column) =>
      Array.from({ length: 32 }, (_, row) => query[row * 32 + column]).every((value) => value === 0),
    );
    expect(zeroColumns).toHaveLength(8);
    const bias = values(pruned, Q0.replace('weight', 'bias'));
    expect(zeroColumns.every((column) => bias[column] === 0)).toBe(true);
    const rows = output.length / 32;
    const zeroRows = Array.from({ length: rows }, (_, row) => output.subarray(row * 32, (row + 1) * 32)).filter((row) =>
      row.every((value) => value === 0),
    );
    expect(zeroRows).toHaveLength(rows / 4);
    expect(flopsKept(Q0)).toBe(0.75);
  });

  it('takes as many operations as two thin products', () => {
    const { flopsKept } = treatment({ type: 'rank', share: 0.25 });
    expect(flopsKept(Q0)).toBe((8 * (32 + 32)) / (32 * 32));
  });

  it('names choices for tables', () => {
    const names = [{ type: 'int8' }, { type: 'weights' }, { type: 'prune' }, { type: 'rank', share: 0.125 }];
    expect(names.map((given) => nameOf(choiceSchema.parse(given)))).toEqual([
      'int8',
      '4 bit weights',
      'prune 50 %',
      'rank 12.5 %',
    ]);
  });

  it('groups weights by layer, by component and by both; strangers alone', () => {
    const { components } = bundle.manifest;
    const names = [...components.map(({ weight }) => weight), 'stranger'];
    expect(layerGroups(names, components).map(({ name }) => name)).toEqual(['layer 0', 'layer 1']);
    const byComponent = componentGroups(names, components);
    expect(byComponent.find(({ name }) => name === 'W_Q')?.weights).toHaveLength(2);
    expect(byComponent.at(-1)).toEqual({ name: 'stranger', weights: ['stranger'] });
    expect(cellGroups(names, components).find(({ name }) => name === 'layer 1 W_O')).toMatchObject({
      layer: 1,
      component: 'W_O',
    });
  });
});
