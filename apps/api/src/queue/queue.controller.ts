import type { QueueOverview, Service } from '@modelpress/service';
import { Controller, Get, Inject } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { CallerParam, type RequestCaller } from '../common/access';
import { Endpoint } from '../common/endpoint';
import { SERVICE } from '../tokens';
import { queueView } from '../views/results';

@ApiTags('queue')
@Controller('v1/queue')
export class QueueController {
  constructor(@Inject(SERVICE) private readonly service: Service) {}

  @Endpoint({ summary: 'What waits, what runs, and the workers', access: 'viewer', response: queueView })
  @Get()
  overview(@CallerParam() { projectId }: RequestCaller): Promise<QueueOverview> {
    return this.service.queue.overview(projectId);
  }
}
