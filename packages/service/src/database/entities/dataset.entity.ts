import type { DatasetInfo } from '@modelpress/core';
import { EntitySchema } from 'typeorm';
import { createdAt, id, json, references, text, uuid } from '../columns';

/** A data set: a folder of dataset.json and one JSONL file per split. */
export interface Dataset {
  id: string;
  projectId: string;
  name: string;
  artifactId: string;
  info: DatasetInfo;
  createdAt: Date;
}

export const DatasetEntity = new EntitySchema<Dataset>({
  name: 'dataset',
  columns: {
    id: id(),
    projectId: { ...uuid(), ...references('project') },
    name: text(),
    artifactId: { ...uuid(), ...references('artifact', 'RESTRICT') },
    info: json(),
    createdAt: createdAt(),
  },
  indices: [{ name: 'dataset_project', columns: ['projectId', 'id'] }],
});
