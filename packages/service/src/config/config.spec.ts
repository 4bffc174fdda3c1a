import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ModelpressError } from '@modelpress/core';
import { loadConfig } from './config';
import { configurationTable } from './table';

const DATABASE = { MODELPRESS_DATABASE_URL: 'postgres://u:p@localhost/db' };

describe('loadConfig', () => {
  it('needs nothing but a database', () => {
    const config = loadConfig(DATABASE);
    expect(config.queue).toEqual({ driver: 'postgres' });
    expect(config.objects).toMatchObject({ driver: 'folder' });
    expect(config.api.port).toBe(7077);
  });

  it('names every wrong variable at once', () => {
    const environment = { MODELPRESS_PORT: 'many', MODELPRESS_LOG_LEVEL: 'loud', MODELPRESS_QUEUE: 'kafka' };
    const error = catchError(() => loadConfig(environment));
    expect(error.code).toBe('config.invalid');
    expect(error.details.issues?.map(({ field }) => field).sort()).toEqual([
      'MODELPRESS_DATABASE_URL',
      'MODELPRESS_LOG_LEVEL',
      'MODELPRESS_PORT',
      'MODELPRESS_QUEUE',
    ]);
  });

  it.each([
    [{ MODELPRESS_QUEUE: 'redis' }, 'MODELPRESS_REDIS_URL'],
    [{ MODELPRESS_OBJECTS: 's3' }, 'MODELPRESS_S3_BUCKET'],
    [{ MODELPRESS_S3_ACCESS_KEY_ID: 'id' }, 'MODELPRESS_S3_SECRET_ACCESS_KEY'],
  ])('says what %j also needs', (extra, field) => {
    expect(catchError(() => loadConfig({ ...DATABASE, ...extra })).details.field).toBe(field);
  });

  it('treats an empty variable as one that is not set', () => {
    expect(loadConfig({ ...DATABASE, MODELPRESS_PORT: '', MODELPRESS_S3_BUCKET: '' }).api.port).toBe(7077);
  });

  it('cannot be changed', () => {
    const config = loadConfig(DATABASE);
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.worker.lanes)).toBe(true);
  });

  it('is described, variable by variable, in docs/configuration.md', () => {
    const page = readFileSync(join(__dirname, '../../../../docs/configuration.md'), 'utf8');
    expect(page).toContain(configurationTable());
  });
});

function catchError(work: () => unknown): ModelpressError {
  try {
    work();
  } catch (error) {
    if (error instanceof ModelpressError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
