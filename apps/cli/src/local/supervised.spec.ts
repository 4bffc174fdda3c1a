import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelpressError } from '@modelpress/core';
import { Supervised } from './supervised';

const folder = mkdtempSync(join(tmpdir(), 'supervised-'));
const logFile = join(folder, 'log');

/** A process that does what the script says. */
function supervise(script: string): { process: Supervised; restarts: string[]; gaveUp: Promise<ModelpressError> } {
  const entry = join(mkdtempSync(join(folder, 'entry-')), 'main.js');
  writeFileSync(entry, script);
  const restarts: string[] = [];
  let giveUp: (error: ModelpressError) => void = () => undefined;
  const gaveUp = new Promise<ModelpressError>((resolve) => (giveUp = resolve));
  const process = new Supervised({
    name: 'test',
    entry,
    env: {},
    logFile,
    onRestart: (_, how) => restarts.push(how),
    onGiveUp: giveUp,
  });
  return { process, restarts, gaveUp };
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
};

describe('Supervised', () => {
  it('starts a killed process again', async () => {
    const { process: supervised, restarts } = supervise('setInterval(() => {}, 1000)');
    const first = supervised.pid ?? 0;
    process.kill(first, 'SIGKILL');
    await until(() => restarts.length === 1 && supervised.pid !== first);
    expect(restarts).toEqual(['SIGKILL']);
    const second = supervised.pid ?? 0;
    await supervised.stop();
    expect(() => process.kill(second, 0)).toThrow('ESRCH');
    expect(restarts).toHaveLength(1);
  });

  it('gives up on a process that cannot start, with its last words', async () => {
    const { process: supervised, gaveUp } = supervise("console.error('no such setting'); process.exit(7)");
    const error = await gaveUp;
    expect(error.message).toMatch(/does not start \(code 7\).*no such setting/s);
    expect(readFileSync(logFile, 'utf8').match(/no such setting/g)).toHaveLength(3);
    await supervised.stop();
  });

  it('lets a process put its work away when told to end', async () => {
    const { process: supervised, restarts } = supervise(
      "process.on('SIGTERM', () => clearInterval(timer)); const timer = setInterval(() => {}, 1000)",
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
    await supervised.stop();
    expect(restarts).toEqual([]);
  });
});
