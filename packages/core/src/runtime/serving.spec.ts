import { describeWithNative } from '../../../../tools/native-addon';
import { bf16Obstacle, switchNative } from './native';
import { servingIssues, servingOf } from './serving';

const plain = { architecture: 'bert' } as Parameters<typeof servingOf>[0];

describe('servingOf', () => {
  afterEach(() => switchNative('auto'));

  it('says when bf16 is not possible, and serves in fp32', () => {
    switchNative('off');
    const warning =
      'The model ran in fp32, because precision bf16 is not possible here: The native runtime is turned off by configuration.';
    expect(servingOf(plain, 'auto', 'bf16')).toEqual({ runtime: 'ort', precision: 'fp32', warning });
    expect(servingOf(plain, 'auto')).toEqual({ runtime: 'ort', precision: 'fp32' });
  });

  it('refuses bf16 together with a runtime that cannot compute it', () => {
    expect(servingIssues('ort', 'bf16')).toMatchObject([{ path: 'precision', code: 'needs-native' }]);
    expect(servingIssues('auto', 'bf16')).toEqual([]);
    expect(servingIssues('ort', 'fp32')).toEqual([]);
  });
});

describeWithNative(
  'servingOf with bfloat16',
  () => {
    it('takes the native runtime for graphs, not for n-gram students', () => {
      expect(servingOf(plain, 'auto', 'bf16')).toEqual({ runtime: 'native', precision: 'bf16' });
      expect(servingOf({ ...plain, architecture: 'dan' }, 'auto', 'bf16')).toMatchObject({
        runtime: 'ort',
        precision: 'fp32',
        warning: expect.stringContaining('n-gram student') as string,
      });
    });
  },
  bf16Obstacle(),
);
