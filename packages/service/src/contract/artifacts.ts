/** @file Stored folders and their files. */
import type { Readable } from 'node:stream';

/** One file of a stored folder. */
export interface FileView {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface ArtifactView {
  readonly id: string;
  readonly kind: string;
  readonly digest: string;
  readonly bytes: number;
  readonly createdAt: Date;
  readonly files: readonly FileView[];
}

export interface Artifacts {
  get(projectId: string, artifactId: string): Promise<ArtifactView>;
  /** One file's bytes. A whole file is checked against its digest while it streams; a range is not. */
  open(
    projectId: string,
    artifactId: string,
    path: string,
    range?: { readonly start: number; readonly end: number },
  ): Promise<{ readonly stream: Readable; readonly bytes: number; readonly sha256: string }>;
  /** A link to the object store itself, where it can make one (S3); null for a folder. */
  presign(projectId: string, artifactId: string, path: string): Promise<string | null>;
}
