import { EntitySchema } from 'typeorm';
import { bigint, createdAt, id, integer, oneOf, references, text, time, uuid, word } from '../columns';

/** Bytes in the object store, named by their SHA-256. Shared by all projects; an artifact gives access to it. */
export interface Blob {
  sha256: string;
  bytes: number;
  createdAt: Date;
  /** Last time that an artifact was made with it: a blob in use must outlive the sweeper. */
  usedAt: Date;
}

export const BlobEntity = new EntitySchema<Blob>({
  name: 'blob',
  columns: { sha256: text({ primary: true }), bytes: bigint(), createdAt: createdAt(), usedAt: time() },
});

export const ARTIFACT_KINDS = ['model', 'dataset', 'output', 'checkpoint'] as const;
export type ArtifactKind = (typeof ARTIFACT_KINDS)[number];

/** An immutable folder. `digest` is the SHA-256 of its canonical list of (path, sha256, bytes). */
export interface Artifact {
  id: string;
  projectId: string;
  kind: ArtifactKind;
  digest: string;
  bytes: number;
  files: number;
  createdAt: Date;
}

export const ArtifactEntity = new EntitySchema<Artifact>({
  name: 'artifact',
  columns: {
    id: id(),
    projectId: { ...uuid(), ...references('project') },
    kind: word(),
    digest: text(),
    bytes: bigint(),
    files: integer(),
    createdAt: createdAt(),
  },
  indices: [{ name: 'artifact_project', columns: ['projectId', 'digest'] }],
  checks: [oneOf('artifact', 'kind', ARTIFACT_KINDS)],
});

/** One file of an artifact. */
export interface ArtifactFile {
  artifactId: string;
  path: string;
  sha256: string;
  bytes: number;
}

export const ArtifactFileEntity = new EntitySchema<ArtifactFile>({
  name: 'artifact_file',
  columns: {
    artifactId: { ...uuid({ primary: true }), ...references('artifact') },
    path: text({ primary: true }),
    sha256: { ...text(), ...references('blob', 'RESTRICT') },
    bytes: bigint(),
  },
  indices: [{ name: 'artifact_file_blob', columns: ['sha256'] }],
});
