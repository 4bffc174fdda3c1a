import { ModelpressError } from '@modelpress/core';
import { createLogger } from '../observe/logger';
import { leaseLost } from '../state/leases';
import { insist, patiently } from './insist';

const logger = createLogger('test', 'silent');
const never = new AbortController().signal;

/** Fails with each of the errors in turn, then succeeds. */
function failing(...errors: Error[]) {
  let calls = 0;
  const work = async (): Promise<number> => {
    const error = errors[calls];
    calls += 1;
    if (error !== undefined) throw error;
    return calls;
  };
  return { work, calls: () => calls };
}

describe('patiently', () => {
  it('gets over an outage', async () => {
    const away = new ModelpressError('unavailable', 'x', 'away');
    const { work } = failing(new Error('ECONNREFUSED'), away);
    expect(await patiently(logger, never, work)).toBe(3);
  });

  it('passes on what is wrong', async () => {
    const { work, calls } = failing(new ModelpressError('internal', 'objects.corrupt', 'damaged'));
    await expect(patiently(logger, never, work)).rejects.toMatchObject({ code: 'objects.corrupt' });
    expect(calls()).toBe(1);
  });

  it('stops when it is told to', async () => {
    const { work, calls } = failing(new Error('ECONNREFUSED'));
    await expect(patiently(logger, AbortSignal.abort(), work)).rejects.toThrow('ECONNREFUSED');
    expect(calls()).toBe(1);
  });
});

describe('insist', () => {
  it('repeats until it is done', async () => {
    const { work, calls } = failing(new Error('ECONNREFUSED'));
    await insist(logger, async () => void (await work()));
    expect(calls()).toBe(2);
  });

  it('gives up what someone else has taken over', async () => {
    const { work, calls } = failing(leaseLost('run'));
    await insist(logger, async () => void (await work()));
    expect(calls()).toBe(1);
  });
});
