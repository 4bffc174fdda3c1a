import type { Manifest } from '@modelpress/core';
import { EntitySchema } from 'typeorm';
import { createdAt, id, json, references, text, uuid } from '../columns';

/** A model bundle that jobs can be started on. */
export interface Model {
  id: string;
  projectId: string;
  name: string;
  artifactId: string;
  manifest: Manifest;
  createdAt: Date;
}

export const ModelEntity = new EntitySchema<Model>({
  name: 'model',
  columns: {
    id: id(),
    projectId: { ...uuid(), ...references('project') },
    name: text(),
    artifactId: { ...uuid(), ...references('artifact', 'RESTRICT') },
    manifest: json(),
    createdAt: createdAt(),
  },
  indices: [{ name: 'model_project', columns: ['projectId', 'id'] }],
});
