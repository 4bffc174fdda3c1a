import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeBundle } from '../bundle/bundle';
import type { Bundle } from '../bundle/bundle';
import { Tensor } from '../graph';
import { headFor, structureOf, transformerConfig } from './config';
import type { LayerSizes, TransformerConfig } from './config';
import { createTextCnn, createTransformer } from './create';
import { exportHuggingFace } from './export';
import { manifestFor } from './import';
import { buildTransformer } from './transformer';
import { freshWeights } from './weights';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'export-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const config = transformerConfig('bert', { layers: 2, hidden: 8, heads: 2, vocabulary: 30, maxLength: 12 });
const options = { task: 'regression', seed: 1, name: 'model' } as const;

/** The bundle of a model whose layers pruning has left at other sizes. */
function shrunk(change: (sizes: LayerSizes, layer: number) => LayerSizes): Bundle {
  const original = createTransformer(config, options);
  const smaller: TransformerConfig = { ...config, layers: config.layers.map(change) };
  const built = buildTransformer(smaller, headFor('regression', 0), freshWeights(1, 0.1));
  const { manifest } = original;
  return {
    ...original,
    model: built.model,
    manifest: { ...manifestFor(built, manifest), structure: structureOf(smaller) },
  };
}

async function exported(bundle: Bundle): Promise<void> {
  await writeBundle(join(dir, 'bundle'), bundle);
  await exportHuggingFace(join(dir, 'bundle'), join(dir, 'out'));
}

describe('exportHuggingFace', () => {
  it('writes a model with fewer neurons in every layer', async () => {
    await expect(exported(shrunk((sizes) => ({ ...sizes, ffn: 5 })))).resolves.toBeUndefined();
  });

  it.each<[string, string, () => Bundle]>([
    [
      'layers of unequal width',
      'layer 1 has 32 feed-forward neurons and layer 0 has 5',
      () => shrunk((sizes, i) => (i === 0 ? { ...sizes, ffn: 5 } : sizes)),
    ],
    [
      'smaller heads',
      'a head of layer 0 has 3 dimensions instead of 4',
      () => shrunk((sizes) => ({ ...sizes, queryDims: [3, 3] })),
    ],
    [
      'fewer heads',
      'its 1 heads of 4 do not add up to the hidden size 8',
      () => shrunk((sizes) => ({ ...sizes, heads: 1, queryDims: [4], valueDims: [4] })),
    ],
    ['no feed-forward neurons', 'no feed-forward neurons left', () => shrunk((sizes) => ({ ...sizes, ffn: 0 }))],
  ])('refuses %s, saying why', async (_, reason, bundle) => {
    await expect(exported(bundle())).rejects.toMatchObject({
      code: 'export.shape',
      message: expect.stringContaining(reason),
    });
  });

  it('refuses weights that the architecture does not have', async () => {
    const bundle = createTransformer(config, options);
    bundle.model.graph.addInitializer('adapter.weight', Tensor.float32([2, 2], [1, 2, 3, 4]));
    await expect(exported(bundle)).rejects.toMatchObject({
      code: 'export.weights',
      message: expect.stringContaining('adapter.weight'),
    });
  });

  it('refuses models that transformers does not have', async () => {
    const bundle = createTextCnn({ vocabulary: 30, embedding: 4, kernels: [3], filters: 2 }, 16, options);
    await expect(exported(bundle)).rejects.toMatchObject({ code: 'export.architecture', kind: 'unsupported' });
  });
});
