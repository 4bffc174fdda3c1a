import { join } from 'node:path';
import { invalid } from '@modelpress/core';
import type { DataSource, EntityManager } from 'typeorm';
import {
  ArtifactEntity,
  ArtifactFileEntity,
  BlobEntity,
  type Artifact,
  type ArtifactFile,
  type ArtifactKind,
} from '../database/entities';
import { insertRows, updateRows } from '../database/write';
import { notFound } from '../errors';
import { newId } from '../ids';
import type { ObjectStore } from '../objects';
import { digestFile } from '../objects/digest';
import { isContained, listFiles, treeDigest, type TreeFile } from './tree';

/** Folders in the object store: every file once by its digest, and rows that say which files a folder has. */
export class ArtifactStore {
  constructor(
    private readonly database: DataSource,
    readonly objects: ObjectStore,
  ) {}

  /** Stores a folder of this machine. @throws ModelpressError `artifact.empty` for one without files. */
  async store(projectId: string, kind: ArtifactKind, folder: string): Promise<Artifact> {
    const files: TreeFile[] = [];
    for (const path of await listFiles(folder)) {
      if (!isContained(path)) throw invalid('artifact.path', `${path} is not a usable file name.`, { file: path });
      const stored = await digestFile(join(folder, path));
      // Before the bytes are looked for: the sweeper must not remove them in between.
      await updateRows(this.database.manager, BlobEntity, { sha256: stored.sha256 }, { usedAt: new Date() });
      await this.objects.putFile(join(folder, path), stored);
      files.push({ path, ...stored });
    }
    if (files.length === 0) throw invalid('artifact.empty', 'The folder has no files.');
    return this.record(projectId, kind, files);
  }

  async get(projectId: string, artifactId: string): Promise<Artifact> {
    const found = await this.database.manager.findOneBy(ArtifactEntity, { id: artifactId, projectId });
    if (found === null) throw notFound('artifact', artifactId);
    return found;
  }

  /** Files of an artifact, by path. */
  files(artifactId: string): Promise<ArtifactFile[]> {
    return this.database.manager.find(ArtifactFileEntity, { where: { artifactId }, order: { path: 'ASC' } });
  }

  private record(projectId: string, kind: ArtifactKind, files: readonly TreeFile[]): Promise<Artifact> {
    const artifact: Artifact = {
      id: newId(),
      projectId,
      kind,
      digest: treeDigest(files),
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      files: files.length,
      createdAt: new Date(),
    };
    return this.database.transaction(async (manager) => {
      await touchBlobs(manager, files);
      await insertRows(manager, ArtifactEntity, [artifact]);
      await insertRows(
        manager,
        ArtifactFileEntity,
        files.map((file) => ({ artifactId: artifact.id, ...file })),
      );
      return artifact;
    });
  }
}

/** Records the blobs, or that they are in use again: the sweeper leaves alone what was used lately. */
async function touchBlobs(manager: EntityManager, files: readonly TreeFile[]): Promise<void> {
  const now = new Date();
  const distinct = [...new Map(files.map(({ sha256, bytes }) => [sha256, { sha256, bytes, usedAt: now }])).values()];
  await manager
    .createQueryBuilder()
    .insert()
    .into(BlobEntity)
    // One order for all, so that two folders with common files cannot deadlock.
    .values(distinct.sort((a, b) => (a.sha256 < b.sha256 ? -1 : 1)))
    .orUpdate(['used_at'], ['sha256'])
    .execute();
}
