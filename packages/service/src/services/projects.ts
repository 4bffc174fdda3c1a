import { invalid } from '@modelpress/core';
import type { DataSource } from 'typeorm';
import type { Projects, ProjectView } from '../contract';
import { ProjectEntity, type Project } from '../database/entities';
import { insertMissing, insertRows, updateRows } from '../database/write';
import { conflict, notFound } from '../errors';
import { isId, newId } from '../ids';
import { isDuplicate } from './duplicates';

type Settings = Partial<Pick<Project, 'name' | 'maxConcurrentRuns' | 'retentionDays'>>;

export class ProjectService implements Projects {
  constructor(private readonly database: DataSource) {}

  async create(input: Settings & { name: string }): Promise<ProjectView> {
    checkSettings(input);
    const project: Project = {
      id: newId(),
      name: input.name,
      maxConcurrentRuns: input.maxConcurrentRuns ?? null,
      retentionDays: input.retentionDays ?? null,
      createdAt: new Date(),
    };
    await insertRows(this.database.manager, ProjectEntity, [project]).catch((error: unknown) => {
      throw isDuplicate(error) ? nameTaken(input.name) : error;
    });
    return project;
  }

  async get(projectId: string): Promise<ProjectView> {
    const found = isId(projectId) ? await this.database.manager.findOneBy(ProjectEntity, { id: projectId }) : null;
    if (found === null) throw notFound('project', projectId);
    return found;
  }

  list(): Promise<readonly ProjectView[]> {
    return this.database.manager.find(ProjectEntity, { order: { id: 'ASC' } });
  }

  async update(projectId: string, change: Settings): Promise<ProjectView> {
    checkSettings(change);
    const project = await this.get(projectId);
    if (Object.keys(change).length === 0) return project;
    await updateRows(this.database.manager, ProjectEntity, { id: projectId }, change).catch((error: unknown) => {
      throw isDuplicate(error) ? nameTaken(change.name ?? '') : error;
    });
    return this.get(projectId);
  }

  async ensure(name: string): Promise<ProjectView> {
    await insertMissing(this.database.manager, ProjectEntity, [{ id: newId(), name }]);
    return this.database.manager.findOneByOrFail(ProjectEntity, { name });
  }
}

function checkSettings({ name, maxConcurrentRuns, retentionDays }: Settings): void {
  if (name !== undefined && (name.trim() === '' || name.length > 120)) {
    throw invalid('project.name', 'A name has 1 to 120 characters.', { field: 'name' });
  }
  const counts = { maxConcurrentRuns, retentionDays };
  for (const [field, value] of Object.entries(counts)) {
    if (value !== undefined && value !== null && (!Number.isInteger(value) || value < 1)) {
      throw invalid(`project.${field}`, 'A whole number from 1, or null for none.', { field });
    }
  }
}

const nameTaken = (name: string) =>
  conflict('project.name-taken', `There is a project "${name}" already.`, { field: 'name' });
