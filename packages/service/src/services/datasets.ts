import type { DatasetInfo } from '@modelpress/core';
import { In, type DataSource } from 'typeorm';
import type { ArtifactStore } from '../artifacts/artifact-store';
import type { Datasets, DatasetView, FileView, Page, PageRequest } from '../contract';
import { ArtifactEntity, DatasetEntity, type Dataset } from '../database/entities';
import { insertRows } from '../database/write';
import { conflict, notFound } from '../errors';
import { isId, newId } from '../ids';
import { checkName } from './names';
import { findPage } from './paging';

export class DatasetService implements Datasets {
  constructor(
    private readonly database: DataSource,
    private readonly store: ArtifactStore,
  ) {}

  async create(projectId: string, input: { name: string; folder: string; info: DatasetInfo }): Promise<DatasetView> {
    checkName(input.name);
    const { id: artifactId } = await this.store.store(projectId, 'dataset', input.folder);
    const { name, info } = input;
    const dataset: Dataset = { id: newId(), projectId, name, artifactId, info, createdAt: new Date() };
    await insertRows(this.database.manager, DatasetEntity, [dataset]);
    return this.get(projectId, dataset.id);
  }

  async get(projectId: string, datasetId: string): Promise<DatasetView> {
    const [view] = await this.views([await this.row(projectId, datasetId)]);
    if (view === undefined) throw notFound('dataset', datasetId);
    return view;
  }

  list(projectId: string, page: PageRequest = {}): Promise<Page<DatasetView>> {
    return findPage(this.database, DatasetEntity, { projectId }, page, (rows) => this.views(rows));
  }

  async files(projectId: string, datasetId: string): Promise<readonly FileView[]> {
    const { artifactId } = await this.row(projectId, datasetId);
    return (await this.store.files(artifactId)).map(({ path, sha256, bytes }) => ({ path, sha256, bytes }));
  }

  async delete(projectId: string, datasetId: string): Promise<void> {
    const { id } = await this.row(projectId, datasetId);
    const users: unknown[] = await this.database.query(
      `SELECT 1 FROM job, jsonb_each_text(datasets) AS used WHERE project_id = $1 AND used.value = $2 LIMIT 1`,
      [projectId, id],
    );
    if (users.length > 0) throw conflict('dataset.in-use', 'Jobs refer to this data set: delete them first.', { id });
    await this.database.manager.delete(DatasetEntity, { id });
  }

  private async row(projectId: string, datasetId: string): Promise<Dataset> {
    const found = isId(datasetId)
      ? await this.database.manager.findOneBy(DatasetEntity, { id: datasetId, projectId })
      : null;
    if (found === null) throw notFound('dataset', datasetId);
    return found;
  }

  private async views(rows: readonly Dataset[]): Promise<readonly DatasetView[]> {
    const artifacts = await this.database.manager.findBy(ArtifactEntity, { id: In(rows.map((row) => row.artifactId)) });
    const byId = new Map(artifacts.map((artifact) => [artifact.id, artifact]));
    return rows.map(({ id, name, artifactId, info, createdAt }) => {
      const { digest = '', bytes = 0 } = byId.get(artifactId) ?? {};
      return { id, name, artifactId, digest, bytes, info, createdAt };
    });
  }
}
