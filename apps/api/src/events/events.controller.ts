import { invalidFields } from '@modelpress/core';
import type { Service } from '@modelpress/service';
import { Controller, Get, Headers, Inject, Param, Query, Res } from '@nestjs/common';
import { ApiHeader, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { CallerParam, type RequestCaller } from '../common/access';
import { Endpoint } from '../common/endpoint';
import type { ApiConfig } from '../config';
import { API_CONFIG, SERVICE } from '../tokens';
import { closeSignal, sendEvents, untilEnd } from './event-stream';

const eventQuery = z.strictObject({
  after: z.coerce.number().int().min(0).optional().describe('Like Last-Event-ID, where a header cannot be sent.'),
});

const LAST_EVENT_ID = ApiHeader({ name: 'Last-Event-ID', required: false, description: 'Continue after this event.' });

@ApiTags('events')
@Controller('v1')
export class EventsController {
  constructor(
    @Inject(SERVICE) private readonly service: Service,
    @Inject(API_CONFIG) private readonly config: ApiConfig,
  ) {}

  @Endpoint({
    summary: "A project's events, as they happen",
    description: 'Server-sent events. Without Last-Event-ID it starts with all that are kept.',
    access: 'viewer',
    produces: 'text/event-stream',
  })
  @LAST_EVENT_ID
  @Get('events')
  async all(
    @CallerParam() { projectId }: RequestCaller,
    @Headers('last-event-id') lastId: string | undefined,
    @Query({ schema: eventQuery }) query: z.output<typeof eventQuery>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const after = startOf(lastId, query.after);
    const events = this.service.events.subscribe(projectId, { after }, closeSignal(reply));
    await sendEvents(reply, events, this.config.heartbeatMs);
  }

  @Endpoint({
    summary: "A job's events, as they happen",
    description: 'Server-sent events. The stream ends when the job does.',
    access: 'viewer',
    produces: 'text/event-stream',
  })
  @LAST_EVENT_ID
  @Get('jobs/:id/events')
  async ofJob(
    @CallerParam() { projectId }: RequestCaller,
    @Param('id') jobId: string,
    @Headers('last-event-id') lastId: string | undefined,
    @Query({ schema: eventQuery }) query: z.output<typeof eventQuery>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const after = startOf(lastId, query.after);
    const { state } = await this.service.jobs.get(projectId, jobId);
    const events = this.service.events.subscribe(projectId, { jobId, after }, closeSignal(reply));
    await sendEvents(reply, untilEnd(events, state), this.config.heartbeatMs);
  }
}

function startOf(header: string | undefined, query: number | undefined): number {
  if (header === undefined) return query ?? 0;
  if (/^\d{1,15}$/.test(header)) return Number(header);
  const message = 'An event id is a whole number.';
  throw invalidFields('request.invalid', [{ field: 'Last-Event-ID', code: 'invalid', message }]);
}
