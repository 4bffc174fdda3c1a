import { basename } from 'node:path';
import type { Readable } from 'node:stream';
import { invalid } from '@modelpress/core';
import type { ArtifactStore } from '../artifacts/artifact-store';
import type { Artifacts, ArtifactView } from '../contract';
import type { ArtifactFile } from '../database/entities';
import { notFound } from '../errors';
import { isId } from '../ids';
import type { ByteRange } from '../objects';

const LINK_SECONDS = 3600;

export class ArtifactService implements Artifacts {
  constructor(private readonly store: ArtifactStore) {}

  async get(projectId: string, artifactId: string): Promise<ArtifactView> {
    if (!isId(artifactId)) throw notFound('artifact', artifactId);
    const { id, kind, digest, bytes, createdAt } = await this.store.get(projectId, artifactId);
    const files = await this.store.files(id);
    return {
      id,
      kind,
      digest,
      bytes,
      createdAt,
      files: files.map((file) => ({ path: file.path, sha256: file.sha256, bytes: file.bytes })),
    };
  }

  async open(
    projectId: string,
    artifactId: string,
    path: string,
    range?: ByteRange,
  ): Promise<{ readonly stream: Readable; readonly bytes: number; readonly sha256: string }> {
    const { sha256, bytes } = await this.file(projectId, artifactId, path);
    if (range !== undefined && (range.start < 0 || range.end < range.start || range.end >= bytes)) {
      throw invalid('artifact.range', `The file has ${bytes} bytes.`, { field: 'range', bytes });
    }
    return { stream: await this.store.objects.get(sha256, range), bytes, sha256 };
  }

  async presign(projectId: string, artifactId: string, path: string): Promise<string | null> {
    const { sha256 } = await this.file(projectId, artifactId, path);
    return this.store.objects.presignDownload(sha256, { fileName: basename(path), seconds: LINK_SECONDS });
  }

  private async file(projectId: string, artifactId: string, path: string): Promise<ArtifactFile> {
    if (!isId(artifactId)) throw notFound('artifact', artifactId);
    const artifact = await this.store.get(projectId, artifactId);
    const file = (await this.store.files(artifact.id)).find((entry) => entry.path === path);
    if (file === undefined) throw notFound('file', path);
    return file;
  }
}
