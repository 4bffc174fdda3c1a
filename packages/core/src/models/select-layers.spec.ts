import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeBundle } from '../bundle/bundle';
import type { Bundle } from '../bundle/bundle';
import { transformerConfig } from './config';
import type { TransformerArchitecture } from './config';
import { createTransformer } from './create';
import { exportHuggingFace } from './export';
import { importHuggingFace } from './import';
import { selectLayers } from './select-layers';
import { maxDifference, runModel, tokenBatch } from './testing';

const teacher = (architecture: TransformerArchitecture, task: 'regression' | 'embedding' = 'regression'): Bundle =>
  createTransformer(
    transformerConfig(architecture, { layers: 3, hidden: 8, heads: 2, vocabulary: 30, maxLength: 12, padId: 0 }),
    { task, seed: 1, name: 'teacher' },
  );

const batch = tokenBatch(3, 6, 30);
const outputOf = async ({ model, manifest }: Bundle): Promise<Float32Array> =>
  (await runModel(model, batch))[manifest.output];

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'layers-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

describe('selectLayers', () => {
  it.each(['bert', 'roberta', 'distilbert', 'gpt2'] as const)(
    '%s: all layers are the teacher, fewer go to a checkpoint and back',
    async (architecture) => {
      const whole = teacher(architecture);
      expect(maxDifference(await outputOf(selectLayers(whole, [0, 1, 2])), await outputOf(whole))).toBe(0);
      const student = selectLayers(whole, [2, 0]);
      expect(student.manifest.structure?.layers).toHaveLength(2);
      expect(student.manifest.parameters.total).toBeLessThan(whole.manifest.parameters.total);
      await writeBundle(join(dir, 'bundle'), student);
      await exportHuggingFace(join(dir, 'bundle'), join(dir, 'checkpoint'));
      const { bundle } = await importHuggingFace(join(dir, 'checkpoint'));
      expect(await outputOf(bundle)).toEqual(await outputOf(student));
    },
  );

  it('refuses layers that are not there', () => {
    expect(() => selectLayers(teacher('bert'), [0, 3])).toThrow(expect.objectContaining({ code: 'model.layers' }));
    expect(() => selectLayers(teacher('bert'), [])).toThrow(expect.objectContaining({ code: 'model.layers' }));
  });
});
