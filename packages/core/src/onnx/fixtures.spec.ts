import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWithShared, sharedPath } from '../../../../tools/shared-fixtures';
import type { Model } from '../graph';
import { verify } from '../graph';
import type { HostTensor } from '../runtime';
import { ortRuntime } from '../runtime';
import { readModel, readModelFile, writeModel, writeModelFile } from '.';
import { printUntyped } from './testing';

/** Token ids below 1000, a mask with a hole, zeros elsewhere: two rows of seven. */
function feedsOf({ graph }: Model): Record<string, HostTensor> {
  const fill = (name: string, i: number): number => {
    if (name === 'input_ids') return (i * 37 + 5) % 1000;
    return name === 'attention_mask' && i < 12 ? 1 : 0;
  };
  return Object.fromEntries(
    graph.inputs.map(({ name }) => [
      name,
      {
        dtype: 'int64',
        dims: [2, 7],
        data: BigInt64Array.from({ length: 14 }, (_, i) => BigInt(fill(name, i))),
      } as const,
    ]),
  );
}

const filesUnder = (...folder: string[]): string[] =>
  readdirSync(sharedPath(...folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.onnx'))
    .map((name) => join(...folder, name));

describeWithShared('ONNX files of other tools', () => {
  const files = [filesUnder('fixtures', 'onnx'), filesUnder('fixtures', 'quant'), filesUnder('models')].flat();

  it.each(files)('%s comes back the same', async (file) => {
    const path = sharedPath(file);
    const model = await readModelFile(path);
    verify(model);
    const written = writeModel(model);
    expect(printUntyped(readModel(written))).toBe(printUntyped(await readModelFile(path)));

    const folder = await mkdtemp(join(tmpdir(), 'onnx-'));
    await writeModelFile(model, join(folder, 'model.onnx'), { externalDataAbove: 1024 });
    const feeds = feedsOf(model);
    const sources = [{ path }, written, { path: join(folder, 'model.onnx') }];
    const outputs = await Promise.all(
      sources.map(async (source) => {
        const executable = await ortRuntime.compile(source, { threads: 1, optimization: 'disabled' });
        const results = await executable.run(feeds);
        await executable.release();
        return results;
      }),
    );
    await rm(folder, { recursive: true });
    expect(outputs[1]).toEqual(outputs[0]);
    expect(outputs[2]).toEqual(outputs[0]);
  });
});
