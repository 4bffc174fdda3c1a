import { join } from 'node:path';
import { bundleBytes, readBundle, readManifest } from '../bundle/bundle';
import { isQuantized } from '../bundle/manifest';
import type { Manifest } from '../bundle/manifest';
import { ModelpressError } from '../errors';
import { quantizeStage } from './quantize';
import { testContext, tinyBundle } from './testing';

const config = (given: object = {}) => quantizeStage.schema.parse(given);

describe('quantize stage', () => {
  let folder: string;
  let manifest: Manifest;
  beforeAll(async () => {
    folder = await tinyBundle();
    manifest = await readManifest(folder);
  });

  it('writes a bundle whose manifest is true of the int8 model', async () => {
    const context = testContext({ model: folder });
    const result = await quantizeStage.run(
      config({ exclude: { components: ['W_P'], names: ['no-such-weight'] } }),
      context,
    );
    const output = join(context.output, result.model ?? '');
    const { model, manifest: after } = await readBundle(output);
    const dtype = Object.fromEntries(
      after.components.map(({ component, layer, weight }) => [
        `${component}${layer ?? ''}:${weight}`,
        model.graph.value(weight).dtype,
      ]),
    );
    const floats = Object.entries(dtype)
      .filter(([, type]) => type === 'float32')
      .map(([key]) => key.split(':')[0]);
    // The classifier and the token-type table are too small to gain; the pooler is excluded.
    expect(new Set(floats)).toEqual(new Set(['W_P', 'classifier', 'embeddings']));
    expect(dtype['W_Q0:bert.encoder.layer.0.attention.self.query.weight']).toBe('int8');
    expect(after.components.map(({ weight }) => weight)).toEqual(manifest.components.map(({ weight }) => weight));
    expect(after.provenance.at(-1)).toMatchObject({ step: 'quantize', detail: { mode: 'dynamic', quantized: 13 } });
    expect(result.measurements).toEqual([
      {
        metric: 'bytes.model',
        value: (await bundleBytes(output)).model,
        unit: 'bytes',
        subject: 'candidate',
        context: {},
      },
    ]);
    expect(result.warnings).toContain(
      'The excluded name "no-such-weight" is neither a node nor a weight that could be quantized.',
    );
    expect(result.sections.map(({ title }) => title)).toEqual(['Quantized weights', 'Left in float']);
    const fractions = context.reported.map(({ fraction }) => fraction);
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  });

  it('refuses at submit what cannot work', async () => {
    const preview = { model: manifest, datasets: {} };
    expect(quantizeStage.check?.(config(), preview)).toEqual([]);
    expect(quantizeStage.check?.(config({ exclude: { layers: [1, 2] } }), preview)).toEqual([
      {
        path: 'exclude.layers[1]',
        code: 'no-such-layer',
        message: 'There is no layer 2: the model has 2 layers, counted from 0.',
      },
    ]);
    const context = testContext({ model: folder });
    await quantizeStage.run(config({ form: 'matmul-integer' }), context);
    expect(isQuantized(await readManifest(join(context.output, 'model')))).toBe(true);
    const again = quantizeStage.run(
      config({ form: 'matmul-integer' }),
      testContext({ model: join(context.output, 'model') }),
    );
    await expect(again).rejects.toMatchObject({ code: 'quantize.already-quantized' });
    expect(() => config({ bits: 3 })).toThrow('bits');
  });

  it('says why when nothing can be quantized, and stops when told', async () => {
    const components = ['W_Q', 'W_K', 'W_V', 'W_AO', 'W_I', 'W_O', 'W_P', 'embeddings', 'classifier'];
    const nothing = quantizeStage.run(config({ exclude: { components } }), testContext({ model: folder }));
    await expect(nothing).rejects.toThrow('For example Gather "embeddings.words": component embeddings is excluded.');
    const stopped = quantizeStage.run(config(), testContext({ model: folder, signal: AbortSignal.abort() }));
    await expect(stopped).rejects.toBeInstanceOf(ModelpressError);
  });

  it('estimates the bytes that remain', () => {
    const bytes = (given: object): number =>
      quantizeStage.estimate?.(config(given), { model: manifest, datasets: {} }).bytes ?? 0;
    expect(bytes({})).toBe(0.25);
    const share = manifest.parameters.embeddings / manifest.parameters.total;
    expect(bytes({ exclude: { components: ['embeddings'] } })).toBeCloseTo(0.25 + 0.75 * share, 10);
    expect(bytes({ exclude: { layers: [0, 1] } })).toBeGreaterThan(0.75);
  });
});
