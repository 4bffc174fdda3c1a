import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tensor, float, int } from '../../core/src/graph';
import {
  ADDON,
  chainModel,
  describeNative,
  nativeLibrary,
  nodeModel,
  numbersOf,
  tensor,
  values,
} from '../test/support';
import { NativeLibrary } from '.';
import type { NativeSession, NativeTensor } from '.';
import { findAddon, findLibrary, prebuiltPackage } from './find';

/**
 * Every function of ONNX Runtime that is called, in groups that one behaviour proves: with any of them at another slot
 * that behaviour is not seen. A function that is called and stands in no group fails the suite.
 */
describeNative("ONNX Runtime's functions at their slots", () => {
  const library = nativeLibrary();
  const folder = mkdtempSync(join(tmpdir(), 'modelpress-native-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  const proven = new Set<string>();
  /** Names the functions that the rest of a test proves. */
  const proves = (...names: string[]): void => {
    for (const name of names) proven.add(name);
  };
  const use = async <T>(
    model: Uint8Array | string,
    body: (session: NativeSession) => Promise<T>,
    options: object = {},
  ): Promise<T> => {
    const session = await library.createSession(model, { threads: 1, ...options });
    try {
      return await body(session);
    } finally {
      session.release();
    }
  };
  const first = async (session: NativeSession, inputs: NativeTensor[]): Promise<number[]> =>
    numbersOf((await session.run(inputs, [null]))[0]!.data);

  const sub = (dims: readonly (number | string)[]): Uint8Array =>
    nodeModel({
      op: 'Sub',
      inputs: { left: { shape: dims }, right: { shape: dims } },
      outputs: { difference: { shape: dims } },
    });
  const [left, right] = [tensor([2, 2], [5, 6, 7, 8]), tensor([2, 2], [1, 1, 2, 2])];

  it('asks for a table that ONNX Runtime has, and says which version it is', () => {
    expect(library.version).toMatch(/^1\.\d+\.\d+/);
    const { version } = JSON.parse(readFileSync(require.resolve('onnxruntime-node/package.json'), 'utf8')) as {
      version: string;
    };
    expect(library.version).toBe(version);
  });

  it('a model from memory computes in every setting', async () => {
    proves(
      'create_env',
      'create_cpu_memory_info',
      'create_session_from_array',
      'create_session_options',
      'set_log_level',
      'set_optimization_level',
      'set_intra_op_threads',
      'set_inter_op_threads',
      'add_session_config',
      'create_run_options',
      'run',
      'create_tensor',
      'get_value_info',
      'get_element_type',
      'get_rank',
      'get_dimensions',
      'get_tensor_data',
      'release_value',
      'release_tensor_info',
      'release_session',
      'release_session_options',
      'release_run_options',
    );
    for (const optimization of ['disabled', 'basic', 'all']) {
      for (const spin of [false, true]) {
        const options = { optimization, spin, threads: 2 };
        expect(await use(sub([2, 2]), (session) => first(session, [left, right]), options)).toEqual([4, 5, 5, 6]);
      }
    }
  });

  it('memory is kept or given back without another result', async () => {
    proves('disable_memory_pattern', 'disable_cpu_arena');
    const results: number[][] = [];
    for (const memoryPattern of [false, true]) {
      for (const keepMemory of [false, true]) {
        const settings = { memoryPattern, keepMemory };
        results.push(await use(chainModel(20, 4), (s) => first(s, [tensor([20, 20], values(400))]), settings));
      }
    }
    expect(results.every((result) => result.every((value, i) => value === results[0]![i]))).toBe(true);
  });

  it('a model from a path computes', async () => {
    proves('create_session');
    const path = join(folder, 'sub.onnx');
    writeFileSync(path, sub([2, 2]));
    expect(await use(path, (session) => first(session, [left, right]))).toEqual([4, 5, 5, 6]);
  });

  it('inputs and outputs are described in their order', async () => {
    proves(
      'session_input_count',
      'session_output_count',
      'session_input_name',
      'session_output_name',
      'session_input_type',
      'session_output_type',
      'get_onnx_type',
      'get_tensor_info',
      'get_symbols',
      'get_default_allocator',
      'allocator_free',
      'release_type_info',
    );
    const model = nodeModel({
      op: 'TopK',
      inputs: { x: { shape: ['rows', 'columns'] }, k: { dtype: 'int64', shape: [1] } },
      outputs: { best: { shape: ['rows', 'k'] }, at: { dtype: 'int64', shape: ['rows', 'k'] } },
    });
    const { inputs, outputs } = await use(model, async (session) => session);
    expect(inputs).toEqual([
      { name: 'x', type: 1, dims: ['rows', 'columns'] },
      { name: 'k', type: 7, dims: [1] },
    ]);
    expect(outputs.map(({ name, type }) => [name, type])).toEqual([
      ['best', 1],
      ['at', 7],
    ]);
  });

  it('errors of the library and of our operators carry code and message', async () => {
    proves('create_status', 'get_error_code', 'get_error_message', 'release_status');
    await expect(library.createSession(join(folder, 'none.onnx'), { threads: 1 })).rejects.toMatchObject({
      code: 'ort.3', // ORT_NO_SUCHFILE
      message: expect.stringContaining('none.onnx'),
    });
    const vectors = { op: 'Bf16Gemm', domain: 'modelpress', outputs: { y: { shape: ['y'] } } };
    const model = nodeModel({ ...vectors, inputs: { a: { shape: ['n'] }, b: { shape: ['n'] } } });
    await expect(
      use(model, (session) => first(session, [tensor([2], [1, 2]), tensor([2], [1, 2])])),
    ).rejects.toMatchObject({ message: expect.stringContaining('modelpress.Bf16Gemm: A and B need') });
  });

  it('a run ends when told, the next one does not', async () => {
    proves('set_terminate', 'unset_terminate');
    await use(chainModel(300, 50), async (session) => {
      const controller = new AbortController();
      const x = tensor([300, 300], values(90_000));
      const running = session.run([x], [null], controller.signal);
      controller.abort();
      await expect(running).rejects.toMatchObject({ code: 'native.cancelled' });
      expect(await first(session, [x])).toHaveLength(90_000);
    });
  });

  const a = tensor([2, 3], [1, 2, 3, 4, 5, 6]);
  const b = Tensor.float32([2, 3], [1, 0, 1, 0, 1, 0]);
  const product = {
    op: 'Bf16Gemm',
    domain: 'modelpress',
    attributes: { transB: int(1), alpha: float(0.5) },
    outputs: { y: { shape: ['r', 'c'] } },
  };

  it('an operator of ours reads attributes, inputs and constants and makes its output', async () => {
    proves(
      'create_custom_op_domain',
      'custom_op_domain_add',
      'add_custom_op_domain',
      'release_custom_op_domain',
      'kernel_int',
      'kernel_float',
      'kernel_input_count',
      'kernel_input',
      'kernel_output_count',
      'kernel_output',
      'kernel_constant_input',
    );
    const fed = nodeModel({ ...product, inputs: { a: { shape: ['r', 3] }, b: { shape: ['c', 3] } } });
    const constant = nodeModel({ ...product, inputs: { a: { shape: ['r', 3] }, b: { shape: [2, 3], constant: b } } });
    const expected = [2, 1, 5, 2.5];
    expect(await use(fed, (session) => first(session, [a, tensor([2, 3], b.toNumbers())]))).toEqual(expected);
    expect(await use(constant, (session) => first(session, [a]))).toEqual(expected);
  });

  it('an operator of ours uses all threads of its session', async () => {
    proves('parallel_for');
    const x = tensor([100_000], values(100_000));
    const gelu = {
      op: 'Gelu',
      domain: 'modelpress',
      inputs: { x: { shape: ['n'] } },
      outputs: { y: { shape: ['n'] } },
    };
    const [one, three] = await Promise.all(
      [1, 3].map((threads) => use(nodeModel(gelu), (session) => first(session, [x]), { threads })),
    );
    expect(three).toEqual(one);
    expect(one!.at(-1)).not.toBe(0);
  });

  it('shapes are inferred through an operator of ours, by its attributes', async () => {
    proves(
      'shape_input_count',
      'shape_input',
      'shape_attribute',
      'read_attribute',
      'shape_output',
      'create_tensor_info',
      'set_element_type',
      'set_dimensions',
    );
    const model = nodeModel({ ...product, inputs: { a: { shape: [4, 3] }, b: { shape: [2, 3] } } });
    const { outputs } = await use(model, async (session) => session);
    expect(outputs).toEqual([{ name: 'y', type: 1, dims: [4, 2] }]); // declared as ['r', 'c']
  });

  it('a thread that ends gives its environment back', async () => {
    proves('release_env', 'release_memory_info');
    const { Worker } = await import('node:worker_threads');
    for (let i = 0; i < 2; i++) {
      const worker = new Worker(
        `const { workerData } = require('node:worker_threads');
         require(workerData.addon).load(workerData.library);`,
        { eval: true, workerData: { addon: ADDON, library: findLibrary() } },
      );
      expect(await new Promise((resolve) => worker.once('exit', resolve))).toBe(0);
    }
    expect(await use(sub([2, 2]), (session) => first(session, [left, right]))).toEqual([4, 5, 5, 6]);
  });

  it('has a proof for every function that is called', () => {
    expect([...proven].sort()).toEqual([...library.slots.keys()].sort());
  });
});

describeNative('loading', () => {
  it('finds what is installed', () => {
    expect(findLibrary()).toMatch(/onnxruntime-node.*libonnxruntime/);
    expect(findAddon()).toMatch(/modelpress\.node$/);
    expect(prebuiltPackage()).toMatch(/^@modelpress\/native-\w+-\w+/);
  });

  it('says what is wrong with an addon that is none', () => {
    expect(() => new NativeLibrary({ addon: __filename.replace(/\.ts$/, '.node') })).toThrow('cannot be loaded');
  });

  it('says what is wrong with a library that is not ONNX Runtime', async () => {
    const { Worker } = await import('node:worker_threads');
    const reasons = ['/nowhere/libonnxruntime.so.1', ADDON].map(
      (library) =>
        new Promise<string>((resolve) => {
          const worker = new Worker(
            `const { parentPort, workerData } = require('node:worker_threads');
             try { require(workerData.addon).load(workerData.library); } catch ({ code, message }) {
               parentPort.postMessage(code + ': ' + message);
             }`,
            { eval: true, workerData: { addon: ADDON, library } },
          );
          worker.once('message', resolve);
        }),
    );
    const [missing, other] = await Promise.all(reasons);
    expect(missing).toMatch(/^native\.library: .*No such file|^native\.library: .*nowhere/);
    expect(other).toMatch(/^native\.library: .*is not an ONNX Runtime library/);
  });
});
