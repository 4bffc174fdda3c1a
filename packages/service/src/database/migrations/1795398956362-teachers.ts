import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Further models that teach, by job. */
export class Teachers1795398956362 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE job ADD teacher_ids jsonb NOT NULL DEFAULT '[]'`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE job DROP COLUMN teacher_ids`);
  }
}
