/** @file Models. */
import type { Manifest } from '@modelpress/core';
import type { FileView } from './artifacts';
import type { Page, PageRequest } from './page';

export interface ModelView {
  readonly id: string;
  readonly name: string;
  readonly artifactId: string;
  readonly digest: string;
  readonly bytes: number;
  readonly manifest: Manifest;
  readonly createdAt: Date;
}

export interface Models {
  /** Stores a checked bundle folder (see core/bundle). The folder may be deleted afterwards. */
  create(projectId: string, input: { name: string; folder: string; manifest: Manifest }): Promise<ModelView>;
  /** Makes the output of a finished stage run a model that new jobs can start from. */
  createFromRun(projectId: string, input: { name: string; runId: string }): Promise<ModelView>;
  get(projectId: string, modelId: string): Promise<ModelView>;
  list(projectId: string, page?: PageRequest): Promise<Page<ModelView>>;
  files(projectId: string, modelId: string): Promise<readonly FileView[]>;
  /** @throws ModelpressError `conflict` while a job refers to it. */
  delete(projectId: string, modelId: string): Promise<void>;
}
