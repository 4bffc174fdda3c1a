import { invalid, manifestSchema, type Manifest } from '@modelpress/core';
import { buffer } from 'node:stream/consumers';
import { In, type DataSource } from 'typeorm';
import type { ArtifactStore } from '../artifacts/artifact-store';
import type { FileView, Models, ModelView, Page, PageRequest } from '../contract';
import { ArtifactEntity, ModelEntity, StageRunEntity, type Model } from '../database/entities';
import { insertRows } from '../database/write';
import { conflict, notFound } from '../errors';
import { isId, newId } from '../ids';
import { isReferred } from './duplicates';
import { checkName } from './names';
import { findPage } from './paging';

const inUse = (id: string) => conflict('model.in-use', 'Jobs refer to this model: delete them first.', { id });

export class ModelService implements Models {
  constructor(
    private readonly database: DataSource,
    private readonly store: ArtifactStore,
  ) {}

  async create(projectId: string, input: { name: string; folder: string; manifest: Manifest }): Promise<ModelView> {
    checkName(input.name);
    const artifact = await this.store.store(projectId, 'model', input.folder);
    return this.add(projectId, input.name, artifact.id, input.manifest);
  }

  async createFromRun(projectId: string, input: { name: string; runId: string }): Promise<ModelView> {
    checkName(input.name);
    const run = isId(input.runId)
      ? await this.database.manager.findOneBy(StageRunEntity, { id: input.runId, projectId })
      : null;
    if (run === null) throw notFound('run', input.runId);
    if (run.outputId === null) {
      throw conflict('run.no-model', 'This stage run has made no model (yet).', { field: 'runId' });
    }
    const files = await this.store.files(run.outputId);
    const file = files.find(({ path }) => path === 'manifest.json');
    if (file === undefined) throw invalid('model.manifest', 'The output has no manifest.json.', { field: 'runId' });
    const text = await buffer(await this.store.objects.get(file.sha256));
    const manifest = manifestSchema.parse(JSON.parse(text.toString('utf8')));
    return this.add(projectId, input.name, run.outputId, manifest);
  }

  async get(projectId: string, modelId: string): Promise<ModelView> {
    const [view] = await this.views([await this.row(projectId, modelId)]);
    if (view === undefined) throw notFound('model', modelId);
    return view;
  }

  list(projectId: string, page: PageRequest = {}): Promise<Page<ModelView>> {
    return findPage(this.database, ModelEntity, { projectId }, page, (rows) => this.views(rows));
  }

  async files(projectId: string, modelId: string): Promise<readonly FileView[]> {
    const { artifactId } = await this.row(projectId, modelId);
    return (await this.store.files(artifactId)).map(({ path, sha256, bytes }) => ({ path, sha256, bytes }));
  }

  async delete(projectId: string, modelId: string): Promise<void> {
    const { id } = await this.row(projectId, modelId);
    const [teaches] = await this.database.query<object[]>(
      `SELECT 1 FROM job WHERE project_id = $1 AND teacher_ids ? $2 LIMIT 1`,
      [projectId, id],
    );
    if (teaches !== undefined) throw inUse(id);
    await this.database.manager.delete(ModelEntity, { id }).catch((error: unknown) => {
      throw isReferred(error) ? inUse(id) : error;
    });
  }

  private async row(projectId: string, modelId: string): Promise<Model> {
    const found = isId(modelId) ? await this.database.manager.findOneBy(ModelEntity, { id: modelId, projectId }) : null;
    if (found === null) throw notFound('model', modelId);
    return found;
  }

  private async add(projectId: string, name: string, artifactId: string, manifest: Manifest): Promise<ModelView> {
    const model: Model = { id: newId(), projectId, name, artifactId, manifest, createdAt: new Date() };
    await insertRows(this.database.manager, ModelEntity, [model]);
    return this.get(projectId, model.id);
  }

  private async views(rows: readonly Model[]): Promise<readonly ModelView[]> {
    const artifacts = await this.database.manager.findBy(ArtifactEntity, { id: In(rows.map((row) => row.artifactId)) });
    const byId = new Map(artifacts.map((artifact) => [artifact.id, artifact]));
    return rows.map(({ id, name, artifactId, manifest, createdAt }) => {
      const { digest = '', bytes = 0 } = byId.get(artifactId) ?? {};
      return { id, name, artifactId, digest, bytes, manifest, createdAt };
    });
  }
}
