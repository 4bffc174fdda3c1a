import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatasetView, FileView, Page, Service } from '@modelpress/service';
import { Controller, Delete, Get, Inject, Param, Post, Query, Req, Res } from '@nestjs/common';
import { ApiBody, ApiConsumes, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { CallerParam, type RequestCaller } from '../common/access';
import { Endpoint } from '../common/endpoint';
import { given, pageOf, pageQuery } from '../common/page';
import type { ApiConfig } from '../config';
import { uploadBody } from '../openapi/bodies';
import { API_CONFIG, SERVICE } from '../tokens';
import { Importer } from '../uploads/importer';
import { checkDigests, datasetOptions, readOptions, splitOfField } from '../uploads/options';
import { receiveUpload } from '../uploads/receive';
import { withUploadFolder } from '../uploads/upload-scope';
import { datasetView, fileView } from '../views/inputs';

const FILES = {
  train: 'Files of the training split: TSV, CSV, JSONL, JSON, plain text, and .gz or .zip of these.',
  dev: 'Files of the dev split.',
  test: 'Files of the test split.',
  files: 'Files whose split is told by their names or by a column.',
};

@ApiTags('data sets')
@Controller('v1/datasets')
export class DatasetsController {
  constructor(
    @Inject(SERVICE) private readonly service: Service,
    @Inject(API_CONFIG) private readonly config: ApiConfig,
    @Inject(Importer) private readonly importer: Importer,
  ) {}

  @Endpoint({
    summary: 'Upload a data set',
    description: 'The answer has the statistics of every split: rows, labels, text lengths, empty and repeated texts.',
    access: 'submitter',
    status: 201,
    response: datasetView,
  })
  @ApiConsumes('multipart/form-data')
  @ApiBody(uploadBody(datasetOptions, FILES))
  @Post()
  upload(
    @CallerParam() { projectId }: RequestCaller,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<DatasetView> {
    return withUploadFolder(this.service, request, reply, async (folder, signal) => {
      const [source, output] = [join(folder, 'source'), join(folder, 'dataset')];
      await mkdir(output);
      const upload = await receiveUpload(request, source, this.config);
      const { sha256, ...options } = readOptions(datasetOptions, upload);
      checkDigests(upload.files, sha256);
      const files = upload.files.map(({ path, name, field }) => given({ path, name, split: splitOfField(field) }));
      const { info } = await this.importer.run('dataset', { files, output, options }, signal);
      return this.service.datasets.create(projectId, { name: options.name, folder: output, info });
    });
  }

  @Endpoint({ summary: 'Data sets, newest first', access: 'viewer', response: pageOf(datasetView) })
  @Get()
  list(
    @CallerParam() { projectId }: RequestCaller,
    @Query({ schema: pageQuery }) query: z.output<typeof pageQuery>,
  ): Promise<Page<DatasetView>> {
    return this.service.datasets.list(projectId, given(query));
  }

  @Endpoint({ summary: 'A data set with its statistics', access: 'viewer', response: datasetView })
  @Get(':id')
  get(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<DatasetView> {
    return this.service.datasets.get(projectId, id);
  }

  @Endpoint({
    summary: "A data set's files",
    description: 'Each is at /v1/artifacts/{artifactId}/files/{path}.',
    access: 'viewer',
    response: z.array(fileView),
  })
  @Get(':id/files')
  files(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<readonly FileView[]> {
    return this.service.datasets.files(projectId, id);
  }

  @Endpoint({ summary: 'Delete a data set that no job refers to', access: 'admin', status: 204 })
  @Delete(':id')
  remove(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<void> {
    return this.service.datasets.delete(projectId, id);
  }
}
