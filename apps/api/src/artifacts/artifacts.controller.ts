import { ModelpressError } from '@modelpress/core';
import type { ArtifactView, Service } from '@modelpress/service';
import { Controller, Get, Inject, Param, Query, Req, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { CallerParam, type RequestCaller } from '../common/access';
import { Endpoint } from '../common/endpoint';
import { SERVICE } from '../tokens';
import { artifactView } from '../views/inputs';
import { sendArchive } from './archive';
import { sendFile } from './download';

const downloadQuery = z.strictObject({
  redirect: z
    .enum(['true', 'false'])
    .default('true')
    .describe('Whether the answer may be a redirect to the object store, where it can be read directly.'),
});

@ApiTags('artifacts')
@Controller('v1/artifacts')
export class ArtifactsController {
  constructor(@Inject(SERVICE) private readonly service: Service) {}

  @Endpoint({ summary: 'An artifact with its files', access: 'viewer', response: artifactView })
  @Get(':id')
  get(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<ArtifactView> {
    return this.service.artifacts.get(projectId, id);
  }

  @Endpoint({ summary: 'All files of an artifact as one tar', access: 'viewer', produces: 'application/x-tar' })
  @Get(':id/archive')
  archive(
    @CallerParam() { projectId }: RequestCaller,
    @Param('id') id: string,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    return sendArchive(this.service, projectId, id, id, reply);
  }

  @Endpoint({
    summary: 'One file of an artifact',
    description: 'The ETag is its SHA-256. Takes Range, If-Range and If-None-Match.',
    access: 'viewer',
    produces: 'application/octet-stream',
  })
  @Get(':id/files/*')
  async file(
    @CallerParam() { projectId }: RequestCaller,
    @Param('id') id: string,
    @Query({ schema: downloadQuery }) { redirect }: z.output<typeof downloadQuery>,
    @Req() request: FastifyRequest<{ Params: { '*': string } }>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const path = request.params['*'];
    const artifact = await this.service.artifacts.get(projectId, id);
    const file = artifact.files.find((one) => one.path === path);
    if (file === undefined) {
      const message = `The artifact has no file "${path}".`;
      throw new ModelpressError('not-found', 'artifact.no-file', message, { file: path });
    }
    const link = redirect === 'true' ? await this.service.artifacts.presign(projectId, id, path) : null;
    if (link === null)
      await sendFile(request, reply, file, (range) => this.service.artifacts.open(projectId, id, path, range));
    else await reply.redirect(link, 307);
  }
}
