import type { Readiness, Service } from '@modelpress/service';
import { Controller, Get, Inject, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { Endpoint } from '../common/endpoint';
import { SERVICE } from '../tokens';
import { readinessView } from '../views/results';

const healthView = z.object({ status: z.literal('ok') }).meta({ id: 'Health' });

@ApiTags('health')
@Controller()
export class HealthController {
  constructor(@Inject(SERVICE) private readonly service: Service) {}

  @Endpoint({ summary: 'Whether the process lives', access: 'public', response: healthView })
  @Get('healthz')
  health(): z.output<typeof healthView> {
    return { status: 'ok' };
  }

  @Endpoint({
    summary: 'Whether database, queue and object store answer',
    description: 'Status 503 if one does not.',
    access: 'public',
    response: readinessView,
  })
  @Get('readyz')
  async readiness(@Res({ passthrough: true }) reply: FastifyReply): Promise<Readiness> {
    const readiness = await this.service.readiness();
    if (!readiness.ready) void reply.status(503);
    return readiness;
  }

  @Endpoint({ summary: 'Prometheus metrics', access: 'admin', produces: 'text/plain' })
  @Get('metrics')
  async metrics(@Res() reply: FastifyReply): Promise<void> {
    await reply.header('content-type', 'text/plain; version=0.0.4; charset=utf-8').send(await this.service.metrics());
  }
}
