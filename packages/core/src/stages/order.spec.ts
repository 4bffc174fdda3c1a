import { STAGES } from '.';
import { readManifest } from '../bundle';
import type { Manifest } from '../bundle';
import { checkInputs, recipeSchema, resolveRecipe } from '../recipe';
import { readDatasetInfo } from '../text';
import type { DatasetInfo } from '../text';
import { datasetFolder, tinyBundle, tinyExamples } from './testing';

type Stage = string | { readonly type: string; readonly [setting: string]: unknown };

/** A recipe's stages: a type, or a type with its settings. */
const stagesOf = (stages: readonly Stage[]) =>
  resolveRecipe(
    recipeSchema.parse({
      name: 'order',
      stages: stages.map((stage) => {
        if (typeof stage === 'string') return { type: stage };
        const { type, ...config } = stage;
        return { type, config };
      }),
    }),
    STAGES,
  );

const scratch = { architecture: 'textcnn' };
const lora = { type: 'finetune', method: { type: 'lora' } };
const classifier = (type: string) => ({ type: 'distill', student: { type } });
const halfRank = { type: 'factorize', budget: { type: 'rank', rank: 8 } };
const shared = { type: 'share', share: { type: 'layers', components: ['W_Q', 'W_V'] } };
const weights = { type: 'prune', granularity: { type: 'weight' } };

describe('stages in an order that cannot work are refused at submit', () => {
  let model: Manifest;
  let data: DatasetInfo;
  beforeAll(async () => {
    model = await readManifest(await tinyBundle());
    data = await readDatasetInfo(
      datasetFolder({ train: tinyExamples(9), dev: tinyExamples(6), test: tinyExamples(3) }),
    );
  });

  const problems = (stages: readonly Stage[], given: { model?: Manifest } = { model }) =>
    checkInputs(stagesOf(stages), { ...given, datasets: { data, unlabelled: data } }).map(
      ({ field, code }) => `${field}: ${code}`,
    );

  it.each<[stages: Stage[], refused: string]>([
    [['quantize', 'quantize'], 'stages[1].config: already-quantized'],
    [['quantize', 'finetune'], 'stages[1].config: already-quantized'],
    [['quantize', 'pretrain'], 'stages[1].config: already-quantized'],
    [['quantize', 'prune'], 'stages[1].config: already-quantized'],
    [['quantize', 'factorize'], 'stages[1].config: already-quantized'],
    [['quantize', 'share'], 'stages[1].config: already-quantized'],
    [['quantize', 'sensitivity'], 'stages[1].config: already-quantized'],
    [['quantize', 'accelerate'], 'stages[1].config: already-quantized'],
    [['quantize', { type: 'distill', student: { type: 'model' } }], 'stages[1].config: already-quantized'],
    [['quantize', { type: 'distill', student: { type: 'layers', keep: [0] } }], 'stages[1].config: already-quantized'],
    [['quantize', classifier('dan')], 'stages[1].config: already-quantized'],
    [[classifier('dan'), 'prune'], 'stages[1].config: dan'],
    [[classifier('dan'), 'factorize'], 'stages[1].config: dan'],
    [[classifier('dan'), 'share'], 'stages[1].config: dan'],
    [[classifier('dan'), 'finetune'], 'stages[1].config: dan'],
    [[classifier('dan'), { type: 'quantize', mode: 'fp16' }], 'stages[1].config.mode: dan'],
    [[classifier('dan'), 'accelerate'], 'stages[1].config: unsupported'],
    [['share', 'quantize'], 'stages[1].config: codebooks'],
    [['share', weights], 'stages[1].config: codebooks'],
    [['share', 'prune'], 'stages[1].config.granularity: rewritten'],
    [['share', 'share'], 'stages[1].config.share.components[0]: codebook'],
    [['share', 'factorize'], 'stages[1].config.components[0]: codebook'],
    [['share', lora], 'stages[1].config.method.targets: no-component'],
    [[shared, lora], 'stages[1].config.method.targets: shared'],
    [[shared, 'prune'], 'stages[1].config.granularity: rewritten'],
    [[halfRank, halfRank], 'stages[1].config.components[0]: already-factorized'],
    [[halfRank, 'prune'], 'stages[1].config.granularity: rewritten'],
    [[halfRank, shared], 'stages[1].config.share.components[0]: factorized'],
    [[{ type: 'factorize', budget: { type: 'rank', rank: 33 } }], 'stages[0].config.budget.rank: rank-above-full'],
    [[{ type: 'finetune', method: { type: 'lora', rank: 32 } }], 'stages[0].config.method.rank: rank-above-full'],
    [[{ type: 'quantize', exclude: { mostSensitive: 2 } }], 'stages[0].config.exclude.mostSensitive: no-ranking'],
    [
      ['sensitivity', 'finetune', { type: 'quantize', exclude: { mostSensitive: 2 } }],
      'stages[2].config.exclude.mostSensitive: no-ranking',
    ],
  ])('%j', (stages, refused) => {
    expect(problems(stages)).toContain(refused);
  });

  it('also where all that is known of the model is that it will be quantized', () => {
    const made = { type: 'finetune', scratch };
    expect(problems([made, 'quantize', 'prune'], {})).toEqual(['stages[2].config: already-quantized']);
    expect(problems([made, 'quantize', 'evaluate', 'benchmark', 'quantize'], {})).toEqual([
      'stages[4].config: already-quantized',
    ]);
    const answers = { type: 'distill', student: { type: 'textcnn' } };
    expect(problems([made, 'quantize', answers, 'quantize'], {})).toEqual([]);
  });

  it('and for an ONNX file that was quantized before it was imported, but not for its student', () => {
    const imported = { ...model, provenance: [{ step: 'import', detail: { from: 'onnx', quantized: true } }] };
    for (const type of ['prune', 'factorize', 'share', 'quantize', 'sensitivity', 'accelerate']) {
      expect(problems([type], { model: imported })).toContain('stages[0].config: already-quantized');
    }
    const student = { ...model, provenance: [...imported.provenance, { step: 'distill', detail: {} }] };
    expect(problems(['quantize'], { model: student })).toEqual([]);
  });

  it.each<[Stage[]]>([
    [['finetune', 'prune', 'quantize', 'evaluate']],
    [[weights, { type: 'accelerate', sequence: 32 }, 'evaluate']],
    [[halfRank, 'share', 'evaluate']],
    [[halfRank, lora, weights, 'quantize']],
    [[shared, weights, 'finetune', halfRank, 'quantize']],
    [[{ type: 'share', share: { type: 'codebooks', components: ['W_Q'] } }, 'quantize']],
    [[classifier('dan'), 'quantize', 'evaluate', { type: 'benchmark', sequences: [32] }]],
    [['sensitivity', { type: 'quantize', exclude: { mostSensitive: 2 } }]],
    [['quantize', 'evaluate', { type: 'benchmark', sequences: [32] }]],
  ])('%j can work', (stages) => {
    expect(problems(stages)).toEqual([]);
  });
});
