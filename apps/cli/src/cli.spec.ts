import { ApiError } from '@modelpress/client';
import { invalid, ModelpressError, STAGE_TYPES } from '@modelpress/core';
import { connect } from './connection';
import type { CliEnvironment } from './environment';
import { failureOf } from './failure';
import { createProgram } from './program';

const environment: CliEnvironment = {
  url: undefined,
  key: undefined,
  home: '/nonexistent/modelpress',
  hubToken: undefined,
  inherited: {},
};

/** What a command prints, and the exit code that commander ends with. */
async function run(...args: string[]): Promise<{ out: string; code: number }> {
  const lines: string[] = [];
  const log = jest.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line));
  const program = createProgram(environment, () => undefined);
  for (const command of [program, ...program.commands]) {
    command.configureOutput({ writeOut: (text) => void lines.push(text), writeErr: () => undefined });
  }
  try {
    await program.parseAsync(['node', 'modelpress', ...args]);
    return { out: lines.join('\n'), code: 0 };
  } catch (thrown) {
    const code = thrown instanceof ModelpressError ? failureOf(thrown).code : (thrown as { exitCode: number }).exitCode;
    return { out: lines.join('\n'), code };
  } finally {
    log.mockRestore();
  }
}

describe('modelpress', () => {
  it('lists every stage type, and every setting of one', async () => {
    const { out } = await run('stages');
    for (const type of STAGE_TYPES) expect(out).toMatch(new RegExp(`^${type} `, 'm'));
    const listed = JSON.parse((await run('stages', '--json')).out) as { type: string }[];
    expect(listed.map(({ type }) => type)).toEqual([...STAGE_TYPES]);
    const quantize = (await run('stages', 'quantize')).out;
    expect(quantize).toMatch(/^exclude\.components +array = \[\] +Roles of weights that stay float/m);
  });

  it('ends with 2 on wrong usage and 0 on help', async () => {
    expect((await run('frob')).code).toBe(2);
    expect((await run('run')).code).toBe(2);
    expect((await run('jobs', '--state', 'broken')).code).toBe(2);
    expect((await run('stages', 'frob')).code).toBe(2);
    expect((await run('jobs')).code).toBe(2);
    expect(await run('run', '--help')).toMatchObject({
      code: 0,
      out: expect.stringContaining('Exit codes:') as string,
    });
  });

  it('needs a key for a named server', () => {
    expect(() => connect({ server: 'https://press.example' }, environment)).toThrow(
      'give --key or set MODELPRESS_API_KEY',
    );
    expect(() => connect({ server: 'https://press.example', key: 'mp_1' }, environment)).not.toThrow();
  });
});

describe('failureOf', () => {
  it('tells wrong input from failures, with every wrong field', () => {
    const issues = [
      { field: 'stages[0].type', code: 'unknown', message: 'No such stage.', line: 3 },
      { field: 'name', code: 'too-small', message: 'Too short.' },
    ];
    expect(failureOf(invalid('recipe.invalid', 'Two fields are wrong.', { issues }))).toEqual({
      lines: ['Two fields are wrong.', '  line 3, stages[0].type: No such stage.', '  name: Too short.'],
      code: 2,
    });
    expect(failureOf(new ApiError(409, 'job.ended', 'The job has ended.', [], {}, 'r-1'))).toEqual({
      lines: ['The job has ended.', 'Request r-1'],
      code: 1,
    });
    expect(failureOf(new ApiError(400, 'job.invalid', 'A stage needs data.', [])).code).toBe(2);
    expect(failureOf(new TypeError('x is not a function')).code).toBe(1);
  });
});
