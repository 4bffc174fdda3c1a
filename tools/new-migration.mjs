// Writes the migration that the entities of packages/service still need: `node tools/new-migration.mjs <name>`.
// Compile first (npm run build). Review what it wrote, then add the class to migrations/index.ts.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const service = join(root, 'packages', 'service', 'dist');
const { startCluster } = require(join(service, 'embedded', 'cluster.js'));
const { migrate, migrationDrift, openDatabase } = require(join(service, 'database', 'data-source.js'));

const [name] = process.argv.slice(2);
if (!/^[a-z][a-z-]*$/.test(name ?? '')) {
  console.error('usage: node tools/new-migration.mjs <lower-case-name>');
  process.exit(2);
}

/** Plain names need no quotes; the constraint names that TypeORM makes have capitals and do. */
const readable = (sql) =>
  sql
    .replaceAll('"', '')
    .replaceAll(/\s+/g, ' ')
    .trim()
    .replaceAll(/\b(UQ|PK|FK|CHK|REL)_[0-9a-f]+\b/g, '"$&"');

const folder = mkdtempSync(join(tmpdir(), 'modelpress-migration-'));
const cluster = await startCluster({ folder, settings: { fsync: 'off' } });
try {
  await cluster.ensureDatabase('app');
  const database = await openDatabase({ url: cluster.url('app') });
  await migrate(database);
  const { up, down } = await migrationDrift(database);
  await database.destroy();
  if (up.length === 0) {
    console.log('The migrations make exactly the schema of the entities: nothing to write.');
  } else {
    const time = Date.now();
    const title = name.replaceAll(/(^|-)([a-z])/g, (_, __, letter) => letter.toUpperCase());
    const list = (statements) => statements.map((sql) => `    await runner.query(\`${readable(sql)}\`);\n`).join('');
    const file = join(root, 'packages', 'service', 'src', 'database', 'migrations', `${time}-${name}.ts`);
    writeFileSync(
      file,
      `import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ${title}${time} implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
${list(up)}  }

  async down(runner: QueryRunner): Promise<void> {
${list(down)}  }
}
`,
    );
    console.log(file);
  }
} finally {
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
}
