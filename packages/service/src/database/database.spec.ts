import { DataSource } from 'typeorm';
import { createTestDatabase, type TestDatabase } from '../testing';
import { bigintToNumber } from './columns';
import { migrate, migrationDrift, openDatabase } from './data-source';

let test: TestDatabase;
let database: DataSource;

beforeAll(async () => {
  test = await createTestDatabase();
  database = await openDatabase({ url: test.url });
});
afterAll(async () => {
  await database.destroy();
  await test.drop();
});

describe('migrations', () => {
  it('make exactly the schema of the entities', async () => {
    expect((await migrationDrift(database)).up).toEqual([]);
  });

  it('show what is missing when they do not', async () => {
    await database.query('ALTER TABLE job DROP COLUMN priority');
    expect((await migrationDrift(database)).up.join()).toContain('ADD "priority"');
    await database.query('ALTER TABLE job ADD COLUMN priority integer NOT NULL');
    expect((await migrationDrift(database)).up).toEqual([]);
  });

  it('can be undone and done again, by many processes at once', async () => {
    await database.undoLastMigration();
    expect((await migrationDrift(database)).up.length).toBeGreaterThan(0);
    const others = await Promise.all([1, 2, 3].map(() => openDatabase({ url: test.url })));
    await Promise.all(others.map(migrate));
    await Promise.all(others.map((other) => other.destroy()));
    expect((await migrationDrift(database)).up).toEqual([]);
  });
});

describe('whole numbers beyond 32 bits', () => {
  it('come back as numbers', async () => {
    const [row] = await database.query<{ value: string }[]>('SELECT 9007199254740991::bigint AS value');
    expect(bigintToNumber(row?.value ?? null)).toBe(Number.MAX_SAFE_INTEGER);
    expect(bigintToNumber(null)).toBeNull();
  });

  it('are refused where a number cannot hold them', () => {
    expect(() => bigintToNumber('9007199254740993')).toThrow('does not fit');
  });
});
