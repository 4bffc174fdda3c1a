import { environmentSchema } from '../report/measurement';
import { machineCapabilities, relevantFlags, workerCapabilities } from './capabilities';

describe('capabilities', () => {
  it('reads the flags of x86 and Arm', () => {
    const x86 =
      'processor\t: 0\nflags\t\t: fpu sse avx2 fma avx512f avx512_vnni avx512_bf16 amx_int8\nbugs\t: spectre\n';
    expect(relevantFlags(x86 + x86)).toEqual(['avx2', 'fma', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_int8']);
    expect(relevantFlags('Features\t: fp asimd asimddp i8mm')).toEqual(['asimd', 'asimddp', 'i8mm']);
    expect(relevantFlags('')).toEqual([]);
  });

  it('reports what a measurement needs to know of its machine', async () => {
    const { machine, runtimes } = await workerCapabilities();
    expect(() =>
      environmentSchema.parse({ ...machine, runtime: runtimes[0].runtime, device: 'cpu', threads: 1 }),
    ).not.toThrow();
    expect(machine).toEqual(machineCapabilities());
    expect(runtimes[0].version).toMatch(/^\d+\.\d+\.\d+/);
  });
});
