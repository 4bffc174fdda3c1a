import { link, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Graph, Model, Node, Tensor, Value } from '../graph';
import { readModelFile, writeModelFile } from '.';
import { DataLocation, GraphProto, ModelProto, TensorProto } from './proto';
import { create, encode } from './wire';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'onnx-'));
  path = join(folder, 'model.onnx');
});
afterEach(() => rm(folder, { recursive: true }));

/** Writes a model with one float32[2] weight per entry, each given by its external_data. */
async function writeExternal(...tensors: Record<string, string>[]): Promise<void> {
  const initializer = tensors.map((external, i) =>
    create(TensorProto, {
      name: `w${i}`,
      dataType: 1,
      dims: BigInt64Array.of(2n),
      dataLocation: DataLocation.External,
      externalData: Object.entries(external).map(([key, value]) => ({ key, value })),
    }),
  );
  const model = create(ModelProto, {
    irVersion: 10n,
    opsetImport: [{ domain: '', version: 21n }],
    graph: create(GraphProto, { initializer }),
  });
  await writeFile(path, encode(ModelProto, model).finish());
}

const weights = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);

describe('side files', () => {
  it('hold the large weights, aligned, and the model file the rest', async () => {
    const graph = new Graph();
    const values = [100, 300, 301].map((size, i) =>
      graph.addInitializer(
        `w${i}`,
        Tensor.float32(
          [size],
          Float32Array.from({ length: size }, (_, j) => i + j),
        ),
      ),
    );
    const y = new Value('y', { dtype: 'float32', shape: [701] });
    graph.addNode(new Node('Concat', '', 'concat', values, [y]));
    graph.addOutput(y);
    await writeModelFile(new Model(graph), path, { externalDataAbove: 1200 });

    const read = await readModelFile(path);
    expect(read.graph.initializers.map(({ constant }) => constant?.toNumbers())).toEqual(
      values.map(({ constant }) => constant?.toNumbers()),
    );
    // w1 ends at 1200, the next multiple of 64 is 1216
    expect((await stat(`${path}.data`)).size).toBe(1216 + 301 * 4);
    expect((await stat(path)).size).toBeLessThan(1200);
  });

  it('may be shared by tensors and lie in a sub-folder', async () => {
    await mkdir(join(folder, 'data'));
    await writeFile(join(folder, 'data', 'w'), weights);
    await writeExternal({ location: 'data/w', offset: '8', length: '8' }, { location: './data/w', offset: '8' });
    const { graph } = await readModelFile(path);
    expect(graph.initializers.map(({ constant }) => constant?.toNumbers())).toEqual([
      [3, 4],
      [3, 4],
    ]);
  });

  it.each([
    ['outside', { location: '../w' }],
    ['outside', { location: 'data/../../w' }],
    ['outside', { location: '/etc/passwd' }],
    ['outside', { location: 'C:/w' }],
    ['outside', { location: '..\\w' }],
    ['outside', { location: 'w\0' }],
    ['outside', {}],
    ['missing', { location: 'nothing' }],
    ['link', { location: 'symbolic' }],
    ['link', { location: 'symbolic-folder/w' }],
    ['link', { location: 'hard' }],
    ['link', { location: '.' }],
    ['size', { location: 'w', offset: '12', length: '8' }],
    ['size', { location: 'w', offset: '-8', length: '8' }],
    ['size', { location: 'w', offset: '8', length: '4' }],
    ['size', { location: 'w' }],
    ['size', { location: 'w', offset: '1e1', length: '8' }],
  ])('are refused (%s) when stated as %j', async (code, external) => {
    await mkdir(join(folder, 'real'));
    await writeFile(join(folder, 'real', 'w'), weights);
    await writeFile(join(folder, 'w'), weights);
    await symlink(join(folder, 'w'), join(folder, 'symbolic'));
    await symlink(join(folder, 'real'), join(folder, 'symbolic-folder'));
    await writeFile(join(folder, 'linked'), weights);
    await link(join(folder, 'linked'), join(folder, 'hard'));
    await writeExternal(external);
    await expect(readModelFile(path)).rejects.toMatchObject({ code: `onnx.external-data-${code}` });
  });

  it('cannot be claimed several times over', async () => {
    await writeFile(join(folder, 'w'), weights.subarray(0, 12));
    await writeExternal({ location: 'w', offset: '0', length: '8' }, { location: 'w', offset: '4', length: '8' });
    await expect(readModelFile(path)).rejects.toMatchObject({ code: 'onnx.external-data-overlap' });
  });

  it('are read where the model file is named through a link', async () => {
    await writeFile(join(folder, 'w'), weights);
    await writeExternal({ location: 'w', offset: '0', length: '8' });
    const alias = join(folder, 'alias');
    await symlink(folder, alias);
    const { graph } = await readModelFile(join(alias, 'model.onnx'));
    expect(graph.value('w0').constant?.toNumbers()).toEqual([1, 2]);
  });
});

describe('model files', () => {
  it('are written whole without a side file', async () => {
    const graph = new Graph();
    graph.addOutput(graph.addInitializer('w', Tensor.float32([3], [1, 2, 3])));
    await writeModelFile(new Model(graph), path);
    expect((await readModelFile(path)).graph.value('w').constant?.toNumbers()).toEqual([1, 2, 3]);
    await expect(readFile(`${path}.data`)).rejects.toThrow('ENOENT');
  });
});
