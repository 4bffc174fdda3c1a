import { Readable } from 'node:stream';
import type { LogView, Page, RunDetail, RunView, Service } from '@modelpress/service';
import { Controller, Get, Inject, Param, Query, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { CallerParam, type RequestCaller } from '../common/access';
import { Endpoint } from '../common/endpoint';
import { given, pageOf, pageQueryWith } from '../common/page';
import { closeSignal } from '../events/event-stream';
import { SERVICE } from '../tokens';
import { runDetail, runView, state } from '../views/jobs';
import { logView, metricsView } from '../views/results';
import { logText } from './log-text';

const runQuery = pageQueryWith({ state: state.optional(), type: z.string().min(1).max(60).optional() });

const level = z.enum(['debug', 'info', 'warn', 'error']).describe('Least important lines.');
const logQuery = z.strictObject({
  after: z.coerce.number().int().min(0).default(0).describe('Id of the last line already seen.'),
  limit: z.coerce.number().int().min(1).max(10_000).default(1000),
  level: level.optional(),
});
const logTextQuery = z.strictObject({
  after: logQuery.shape.after,
  follow: z.enum(['true', 'false']).default('false').describe('Keep sending lines until the run has ended.'),
});
const metricsQuery = z.strictObject({ limit: z.coerce.number().int().min(10).max(20_000).default(2000) });

@ApiTags('stage runs')
@Controller('v1/stage-runs')
export class StageRunsController {
  constructor(@Inject(SERVICE) private readonly service: Service) {}

  @Endpoint({ summary: 'Stage runs, newest first', access: 'viewer', response: pageOf(runView) })
  @Get()
  list(
    @CallerParam() { projectId }: RequestCaller,
    @Query({ schema: runQuery }) query: z.output<typeof runQuery>,
  ): Promise<Page<RunView>> {
    return this.service.runs.list(projectId, given(query));
  }

  @Endpoint({
    summary: 'A stage run with its attempts and measurements',
    description: 'While it is queued, `waiting` says why and at which place.',
    access: 'viewer',
    response: runDetail,
  })
  @Get(':id')
  get(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<RunDetail> {
    return this.service.runs.get(projectId, id);
  }

  @Endpoint({ summary: 'Curves streamed while it ran', access: 'viewer', response: metricsView })
  @Get(':id/metrics')
  metrics(
    @CallerParam() { projectId }: RequestCaller,
    @Param('id') id: string,
    @Query({ schema: metricsQuery }) { limit }: z.output<typeof metricsQuery>,
  ): Promise<unknown> {
    return this.service.runs.metrics(projectId, id, limit);
  }

  @Endpoint({ summary: 'Log lines, oldest first', access: 'viewer', response: z.array(logView) })
  @Get(':id/logs')
  logs(
    @CallerParam() { projectId }: RequestCaller,
    @Param('id') id: string,
    @Query({ schema: logQuery }) query: z.output<typeof logQuery>,
  ): Promise<readonly LogView[]> {
    return this.service.logs.list(projectId, id, given(query));
  }

  @Endpoint({ summary: 'Log as text', access: 'viewer', produces: 'text/plain' })
  @Get(':id/logs.txt')
  async logText(
    @CallerParam() { projectId }: RequestCaller,
    @Param('id') id: string,
    @Query({ schema: logTextQuery }) { after, follow }: z.output<typeof logTextQuery>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    // Asked first, so that a run that does not exist is a 404 and not an empty text.
    await this.service.runs.get(projectId, id);
    const signal = closeSignal(reply);
    const lines = logText(this.service, projectId, id, after, follow === 'true', signal);
    await reply.header('content-type', 'text/plain; charset=utf-8').send(Readable.from(lines));
  }
}
