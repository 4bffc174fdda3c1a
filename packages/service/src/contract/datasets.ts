/** @file Data sets. */
import type { DatasetInfo } from '@modelpress/core';
import type { FileView } from './artifacts';
import type { Page, PageRequest } from './page';

export interface DatasetView {
  readonly id: string;
  readonly name: string;
  readonly artifactId: string;
  readonly digest: string;
  readonly bytes: number;
  readonly info: DatasetInfo;
  readonly createdAt: Date;
}

export interface Datasets {
  /** Stores a checked data set folder (dataset.json and JSONL files, see core/text). */
  create(projectId: string, input: { name: string; folder: string; info: DatasetInfo }): Promise<DatasetView>;
  get(projectId: string, datasetId: string): Promise<DatasetView>;
  list(projectId: string, page?: PageRequest): Promise<Page<DatasetView>>;
  files(projectId: string, datasetId: string): Promise<readonly FileView[]>;
  delete(projectId: string, datasetId: string): Promise<void>;
}
