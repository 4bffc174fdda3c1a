import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rankingOf, readSensitivity, SENSITIVITY_FILE, worstWeights } from './effects';
import type { Effect, Sensitivity } from './effects';

const effect = (choice: string, scope: Effect['scope'], group: string, divergence: number): Effect => ({
  choice,
  scope,
  group,
  weights: [`${group}.weight`],
  figures: {},
  divergence,
  bytesBefore: 4,
  bytesAfter: 1,
});

const sensitivity: Sensitivity = {
  format: 1,
  split: 'dev',
  rows: 10,
  seed: 1,
  metric: 'accuracy',
  original: { accuracy: 1 },
  effects: [
    effect('int8', 'layer', 'layer 0', 0.1),
    effect('int8', 'component', 'W_O', 0.4),
    effect('prune 50 %', 'layer', 'layer 1', 9),
    effect('int8', 'layer', 'layer 1', 0.2),
    effect('int8', 'cell', 'layer 0 W_O', 0.3),
    effect('int8', 'cell', 'layer 1 W_O', 0.5),
  ],
};

describe('sensitivity.json', () => {
  it('ranks layers and components of one choice, and names the weights of the worst cells', () => {
    expect(rankingOf(sensitivity, 'int8')).toEqual(['W_O', 'layer 1', 'layer 0']);
    expect(worstWeights(sensitivity, 'int8', 1)).toEqual(['layer 1 W_O.weight']);
  });

  it('is read back, may be absent, and is refused when damaged', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sensitivity-'));
    expect(await readSensitivity(folder)).toBeUndefined();
    writeFileSync(join(folder, SENSITIVITY_FILE), JSON.stringify(sensitivity));
    expect(await readSensitivity(folder)).toEqual(sensitivity);
    writeFileSync(join(folder, SENSITIVITY_FILE), '{"format":2}');
    await expect(readSensitivity(folder)).rejects.toMatchObject({ code: 'sensitivity.corrupt' });
  });
});
