/** @file Deletes what nobody can need any more: old jobs, runs and artifacts without an owner, unused bytes. */
import type { DataSource } from 'typeorm';
import { BlobEntity, ProjectEntity } from '../database/entities';
import type { ProjectTransactions } from '../database/project-transaction';
import type { ObjectStore } from '../objects';
import { deleteJob } from './jobs';

/** What was made lately may belong to something that is being written. */
const GRACE = `interval '1 day'`;
const EVENT_AGE = `interval '30 days'`;
const BATCH = 500;

/** Safe to run in many processes at once. */
export async function sweep(transactions: ProjectTransactions, objects: ObjectStore): Promise<void> {
  const { database } = transactions;
  await deleteExpiredJobs(transactions);
  await deleteOrphans(database);
  await deleteBlobs(database, objects);
}

/** Jobs that ended longer ago than their project keeps them. */
async function deleteExpiredJobs(transactions: ProjectTransactions): Promise<void> {
  const projects = await transactions.database.manager.find(ProjectEntity);
  for (const { id, retentionDays } of projects) {
    if (retentionDays === null) continue;
    const expired: { id: string }[] = await transactions.database.query(
      `SELECT id FROM job WHERE project_id = $1 AND finished_at < now() - make_interval(days => $2) LIMIT ${BATCH}`,
      [id, retentionDays],
    );
    for (const job of expired) await transactions.run(id, (tx) => deleteJob(tx, job.id));
  }
}

async function deleteOrphans(database: DataSource): Promise<void> {
  await database.query(`DELETE FROM event WHERE time < now() - ${EVENT_AGE}`);
  await database.query(`DELETE FROM idempotency_key WHERE created_at < now() - ${GRACE}`);
  await database.query(
    `DELETE FROM stage_run run WHERE state IN ('succeeded', 'failed', 'cancelled') AND created_at < now() - ${GRACE}
        AND NOT EXISTS (SELECT 1 FROM job_stage WHERE run_id = run.id)
        AND NOT EXISTS (SELECT 1 FROM stage_run reader WHERE reader.upstream_id = run.id)`,
  );
  await database.query(
    `DELETE FROM artifact WHERE created_at < now() - ${GRACE}
        AND NOT EXISTS (SELECT 1 FROM model WHERE artifact_id = artifact.id)
        AND NOT EXISTS (SELECT 1 FROM dataset WHERE artifact_id = artifact.id)
        AND NOT EXISTS (SELECT 1 FROM stage_run run WHERE run.output_id = artifact.id OR run.checkpoint_id = artifact.id)
        AND NOT EXISTS (SELECT 1 FROM stage_run run WHERE run.project_id = artifact.project_id
              AND (run.inputs->>'model' = artifact.id::text OR run.inputs->>'baseline' = artifact.id::text OR run.inputs->'teachers' ? artifact.id::text
                OR EXISTS (SELECT 1 FROM jsonb_each_text(run.inputs->'datasets') AS used WHERE used.value = artifact.id::text)))`,
  );
}

/** Under the row's lock: whoever stores these bytes again touches the row first, and then waits and finds them gone. */
async function deleteBlobs(database: DataSource, objects: ObjectStore): Promise<void> {
  const unused: { sha256: string }[] = await database.query(
    `SELECT sha256 FROM blob WHERE used_at < now() - ${GRACE}
        AND NOT EXISTS (SELECT 1 FROM artifact_file WHERE artifact_file.sha256 = blob.sha256) LIMIT ${BATCH}`,
  );
  for (const { sha256 } of unused) {
    await database.transaction(async (manager) => {
      const row = await manager
        .createQueryBuilder(BlobEntity, 'blob')
        .setLock('pessimistic_write')
        .where(`blob.sha256 = :sha256 AND blob.usedAt < now() - ${GRACE}`, { sha256 })
        .getOne();
      if (row === null) return;
      await manager.delete(BlobEntity, { sha256 });
      await objects.delete(sha256);
    });
  }
}
