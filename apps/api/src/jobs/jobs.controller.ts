import type { DryRun, JobDetail, JobView, Page, Service } from '@modelpress/service';
import { Body, Controller, Delete, Get, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { CallerParam, type RequestCaller } from '../common/access';
import { Endpoint } from '../common/endpoint';
import { atRecipeLines } from '../common/recipe-lines';
import { given, pageOf, pageQueryWith } from '../common/page';
import { SERVICE } from '../tokens';
import { dryRunView, jobDetail, jobView, state } from '../views/jobs';
import { cloneBody, jobBody, toJobChanges, toJobInput, type CloneBody, type JobBody } from './job-input';

const jobQuery = pageQueryWith({ state: state.optional() });

@ApiTags('jobs')
@Controller('v1/jobs')
export class JobsController {
  constructor(@Inject(SERVICE) private readonly service: Service) {}

  @Endpoint({ summary: 'Submit a job', access: 'submitter', status: 201, response: jobDetail })
  @Post()
  submit(@CallerParam() { projectId }: RequestCaller, @Body({ schema: jobBody }) body: JobBody): Promise<JobDetail> {
    return atRecipeLines(body.recipe, () => this.service.jobs.submit(projectId, toJobInput(body)));
  }

  @Endpoint({
    summary: 'Check a job and estimate its effect',
    description: 'Nothing is stored and nothing is queued. `POST /v1/jobs:dry-run` is the same.',
    access: 'viewer',
    response: dryRunView,
  })
  @Post('dry-run')
  dryRun(@CallerParam() { projectId }: RequestCaller, @Body({ schema: jobBody }) body: JobBody): Promise<DryRun> {
    return atRecipeLines(body.recipe, () => this.service.jobs.dryRun(projectId, toJobInput(body)));
  }

  @Endpoint({ summary: 'Jobs, newest first', access: 'viewer', response: pageOf(jobView) })
  @Get()
  list(
    @CallerParam() { projectId }: RequestCaller,
    @Query({ schema: jobQuery }) query: z.output<typeof jobQuery>,
  ): Promise<Page<JobView>> {
    return this.service.jobs.list(projectId, given(query));
  }

  @Endpoint({ summary: 'A job with its stages', access: 'viewer', response: jobDetail })
  @Get(':id')
  get(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<JobDetail> {
    return this.service.jobs.get(projectId, id);
  }

  @Endpoint({
    summary: 'Cancel a job',
    description: 'Its stage runs stop within seconds, unless another job wants them too.',
    access: 'submitter',
    response: jobDetail,
  })
  @Post(':id/cancel')
  cancel(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<JobDetail> {
    return this.service.jobs.cancel(projectId, id);
  }

  @Endpoint({ summary: 'Pause a job', access: 'submitter', response: jobDetail })
  @Post(':id/pause')
  pause(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<JobDetail> {
    return this.service.jobs.pause(projectId, id);
  }

  @Endpoint({ summary: 'Resume a paused job', access: 'submitter', response: jobDetail })
  @Post(':id/resume')
  resume(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<JobDetail> {
    return this.service.jobs.resume(projectId, id);
  }

  @Endpoint({
    summary: 'Retry a failed or cancelled job',
    description: 'Finished stages are kept.',
    access: 'submitter',
    response: jobDetail,
  })
  @Post(':id/retry')
  retry(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<JobDetail> {
    return this.service.jobs.retry(projectId, id);
  }

  @Endpoint({
    summary: 'Submit a job again, with changes',
    access: 'submitter',
    status: 201,
    response: jobDetail,
  })
  @Post(':id/clone')
  clone(
    @CallerParam() { projectId }: RequestCaller,
    @Param('id') id: string,
    @Body({ schema: cloneBody.prefault({}) }) body: CloneBody,
  ): Promise<JobDetail> {
    return atRecipeLines(body.recipe, () => this.service.jobs.clone(projectId, id, toJobChanges(body)));
  }

  @Endpoint({ summary: 'Delete an ended job', access: 'admin', status: 204 })
  @Delete(':id')
  remove(@CallerParam() { projectId }: RequestCaller, @Param('id') id: string): Promise<void> {
    return this.service.jobs.delete(projectId, id);
  }
}
