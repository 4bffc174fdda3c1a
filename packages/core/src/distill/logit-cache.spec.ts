import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../stages/testing';
import { LogitCache, logitKey } from './logit-cache';
import { mixLogits } from './soft-targets';

describe('LogitCache', () => {
  it('makes a file once, whoever asks', async () => {
    const [folder, other] = [temporaryFolder(), temporaryFolder()];
    const cache = new LogitCache(join(folder, 'cache'));
    let made = 0;
    const make = (path: string) => async () => writeFileSync(path, `made ${++made}`);
    await cache.fetchOr('a', join(folder, 'x'), make(join(folder, 'x')));
    await cache.fetchOr('a', join(other, 'y'), make(join(other, 'y')));
    await cache.fetchOr('b', join(other, 'z'), make(join(other, 'z')));
    expect(readFileSync(join(other, 'y'), 'utf8')).toBe('made 1');
    expect(readFileSync(join(other, 'z'), 'utf8')).toBe('made 2');
  });

  it('stays within its bound: what was used longest ago goes', async () => {
    const folder = temporaryFolder();
    const cache = new LogitCache(join(folder, 'cache'), 100);
    const out = join(folder, 'out');
    for (const [key, at] of [
      ['old', 1000],
      ['older', 500],
      ['new', 2000],
    ] as const) {
      await cache.fetchOr(key, out, async () => writeFileSync(out, 'x'.repeat(40)));
      if (key !== 'new') utimesSync(join(folder, 'cache', key), at, at);
    }
    expect(readdirSync(join(folder, 'cache')).sort()).toEqual(['new', 'old']);
    expect(existsSync(out)).toBe(true);
  });

  it('has a key for the teacher, the texts, their length and the precision', async () => {
    const folder = temporaryFolder();
    const teacher = temporaryFolder();
    const texts = join(folder, 'texts');
    writeFileSync(texts, 'one');
    writeFileSync(join(teacher, 'model.onnx'), 'weights');
    const asked = { maxLength: 32, precision: 'fp32' } as const;
    const keys = [
      await logitKey(teacher, texts, asked),
      await logitKey(teacher, texts, { ...asked, maxLength: 64 }),
      await logitKey(teacher, texts, { ...asked, precision: 'bf16' }),
    ];
    expect(await logitKey(teacher, texts, asked)).toBe(keys[0]);
    writeFileSync(texts, 'two');
    keys.push(await logitKey(teacher, texts, asked));
    writeFileSync(join(teacher, 'model.onnx'), 'others');
    keys.push(await logitKey(teacher, texts, asked));
    expect(new Set(keys).size).toBe(5);
  });
});

it('mixLogits weighs teachers and puts their classes in one order', () => {
  const logits = (values: number[]) => ({ classes: 2, row: () => Float32Array.from(values) });
  const mixed = mixLogits([
    { logits: logits([1, 2]), weight: 3, columns: [0, 1] },
    { logits: logits([10, 20]), weight: 1, columns: [1, 0] },
  ]);
  expect([...mixed.row(0)]).toEqual([0.75 + 5, 1.5 + 2.5]);
});
