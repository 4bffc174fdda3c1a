import { Writable } from 'node:stream';
import { createLogger, redactUrl } from './logger';

describe('an address in the log', () => {
  it.each([
    ['postgres://user:pass@db.example:5432/app', 'postgres://db.example:5432/app'],
    ['https://hooks.example/path?token=abc', 'https://hooks.example/path'],
    ['mp_a_key', '[secret]'],
    ['mailto:someone@example.com', '[secret]'],
  ])('keeps where it leads and drops who may go there: %s', (text, shown) => {
    expect(redactUrl(text)).toBe(shown);
  });
});

describe('the logger', () => {
  function written(log: (logger: ReturnType<typeof createLogger>) => void): string {
    let text = '';
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        text += chunk.toString();
        done();
      },
    });
    log(createLogger('test', 'info', sink));
    return text;
  }

  it('never writes a secret, at any depth that our lines have', () => {
    const text = written((logger) =>
      logger.info({
        secret: 'S1',
        config: { password: 'S2', s3: { secretAccessKey: 'S3' }, url: 'postgres://u:S4@h/d' },
        headers: { authorization: 'Bearer S5' },
      }),
    );
    expect(text).not.toMatch(/S[1-5]/);
    expect(text).toContain('postgres://h/d');
  });

  it('leaves everything else as it is, and obeys its level', () => {
    const line = JSON.parse(written((logger) => logger.info({ run: 'r1' }, 'An attempt starts.'))) as object;
    expect(line).toMatchObject({ name: 'test', run: 'r1', msg: 'An attempt starts.' });
    expect(written((logger) => logger.debug('too much'))).toBe('');
  });
});
