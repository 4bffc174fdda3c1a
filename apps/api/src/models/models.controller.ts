import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileView, ModelView, Page, Service } from '@modelpress/service';
import { Body, Controller, Delete, Get, Inject, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiBody, ApiConsumes, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { sendArchive } from '../artifacts/archive';
import { CallerParam, type RequestCaller } from '../common/access';
import { Endpoint } from '../common/endpoint';
import { given, pageOf, pageQuery } from '../common/page';
import type { ApiConfig } from '../config';
import { uploadBody } from '../openapi/bodies';
import { API_CONFIG, SERVICE } from '../tokens';
import { Importer } from '../uploads/importer';
import { checkDigests, modelOptions, readOptions } from '../uploads/options';
import { receiveUpload } from '../uploads/receive';
import { withUploadFolder } from '../uploads/upload-scope';
import { fileView, importedModelView, modelView } from '../views/inputs';

const fromRunBody = z
  .strictObject({ name: z.string().trim().min(1).max(120), runId: z.string() })
  .meta({ id: 'ModelFromRun' });

const FILES = {
  files:
    'model.onnx with its external data, tokenizer files and labels.json; or a Hugging Face checkpoint: config.json, *.safetensors, tokenizer files.',
};

@ApiTags('models')
@Controller('v1/models')
export class ModelsController {
  constructor(
    @Inject(SERVICE) private readonly service: Service,
    @Inject(API_CONFIG) private readonly config: ApiConfig,
    @Inject(Importer) private readonly importer: Importer,
  ) {}

  @Endpoint({ summary: 'Upload a model', access: 'submitter', status: 201, response: importedModelView })
  @ApiConsumes('multipart/form-data')
  @ApiBody(uploadBody(modelOptions, FILES))
  @Post()
  upload(
    @CallerParam() { projectId }: RequestCaller,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ModelView & { readonly warnings: readonly string[] }> {
    return withUploadFolder(this.service, request, reply, async (folder, signal) => {
      const [source, output] = [join(folder, 'source'), join(folder, 'bundle')];
      await mkdir(output);
      const upload = await receiveUpload(request, source, this.config);
      const { sha256, ...options } = readOptions(modelOptions, upload);
      checkDigests(upload.files, sha256);
      const { manifest, warnings } = await this.importer.run('model', { source, output, options }, signal);
      const model = await this.service.models.create(projectId, { name: options.name, folder: output, manifest });
      return { ...model, warnings };
    });
  }

  @Endpoint({
    summary: 'Make the output of a stage run a model of its own',
    access: 'submitter',
    status: 201,
    response: modelView,
  })
  @Post('from-run')
  fromRun(
    @CallerParam() { projectId }: RequestCaller,
    @Body({ schema: fromRunBody }) body: z.output<typeof fromRunBody>,
  ): Promise<ModelView> {
    return this.service.models.createFromRun(projectId, body);
  }

  @Endpoint({ summary: 'Models, newest first', access: 'viewer', response: pageOf(modelView) })
  @Get()
  list(
    @CallerParam() { projectId }: RequestCaller,
    @Query({ schema: pageQuery }) query: z.output<typeof pageQuery>,
  ): Promise<Page<ModelView>> {
    return this.service.models.list(projectId, given(query));
  }

  @Endpoint({ summary: 'A model', access: 'viewer', response: modelView })
  @Get(':id')
  get(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<ModelView> {
    return this.service.models.get(projectId, id);
  }

  @Endpoint({
    summary: "A model's files",
    description: 'Each is at /v1/artifacts/{artifactId}/files/{path}.',
    access: 'viewer',
    response: z.array(fileView),
  })
  @Get(':id/files')
  files(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<readonly FileView[]> {
    return this.service.models.files(projectId, id);
  }

  @Endpoint({ summary: 'All files of a model as one tar', access: 'viewer', produces: 'application/x-tar' })
  @Get(':id/archive')
  async archive(
    @CallerParam() { projectId }: RequestCaller,
    @Param('id') id: string,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { artifactId, name } = await this.service.models.get(projectId, id);
    await sendArchive(this.service, projectId, artifactId, name, reply);
  }

  @Endpoint({ summary: 'Delete a model that no job refers to', access: 'admin', status: 204 })
  @Delete(':id')
  remove(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<void> {
    return this.service.models.delete(projectId, id);
  }
}
