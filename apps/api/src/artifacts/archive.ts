import { Readable } from 'node:stream';
import type { Service } from '@modelpress/service';
import type { FastifyReply } from 'fastify';
import { attachment } from './download';
import { tar, tarSize } from './tar';

/** Answers with all files of an artifact as one tar. */
export async function sendArchive(
  service: Service,
  projectId: string,
  artifactId: string,
  name: string,
  reply: FastifyReply,
): Promise<void> {
  const { files, digest, createdAt } = await service.artifacts.get(projectId, artifactId);
  const entries = files.map(({ path, bytes }) => ({
    path,
    bytes,
    open: async () => (await service.artifacts.open(projectId, artifactId, path)).stream,
  }));
  await reply
    .header('content-type', 'application/x-tar')
    .header('content-length', tarSize(entries, createdAt))
    .header('content-disposition', attachment(`${name}.tar`))
    .header('etag', `"${digest}.tar"`)
    .send(Readable.from(tar(entries, createdAt), { objectMode: false }));
}
