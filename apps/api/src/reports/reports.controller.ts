import { ModelpressError, renderReport, renderReports } from '@modelpress/core';
import type { JobComparison, JobReport, Service } from '@modelpress/service';
import { Controller, Get, Inject, Param, Query, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { sendArchive } from '../artifacts/archive';
import { CallerParam, type RequestCaller } from '../common/access';
import { Endpoint } from '../common/endpoint';
import { SERVICE } from '../tokens';
import { comparisonView, reportView } from '../views/results';

const variantQuery = z.strictObject({
  variant: z.coerce.number().int().min(0).default(0).describe('Variant of a sweep.'),
});
const pageQuery = z.strictObject({
  variant: z.coerce.number().int().min(0).optional().describe('Variant of a sweep; default: all of them on one page.'),
});
const ids = z.string().min(1).max(64);
const compareQuery = z.strictObject({
  job: z
    .union([z.array(ids), ids])
    .transform((jobs) => [jobs].flat())
    .pipe(z.array(ids).min(1).max(50))
    .describe('Ids of the jobs; repeat the parameter.'),
});

/** The page needs its own inline style and nothing else. */
const REPORT_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

@ApiTags('reports')
@Controller('v1')
export class ReportsController {
  constructor(@Inject(SERVICE) private readonly service: Service) {}

  @Endpoint({ summary: "An ended job's report", access: 'viewer', response: reportView })
  @Get('jobs/:id/report')
  report(@CallerParam() { projectId }: RequestCaller, @Param('id') jobId: string): Promise<JobReport> {
    return this.service.reports.get(projectId, jobId);
  }

  @Endpoint({ summary: 'The report as a page that needs no other file', access: 'viewer', produces: 'text/html' })
  @Get('jobs/:id/report.html')
  async page(
    @CallerParam() { projectId }: RequestCaller,
    @Param('id') jobId: string,
    @Query({ schema: pageQuery }) { variant }: z.output<typeof pageQuery>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const page =
      variant === undefined
        ? renderReports((await this.service.reports.get(projectId, jobId)).variants)
        : renderReport((await this.variantOf(projectId, jobId, variant)).report);
    await reply
      .header('content-type', 'text/html; charset=utf-8')
      .header('content-security-policy', REPORT_POLICY)
      .send(page);
  }

  @Endpoint({
    summary: 'The model that a job made, as one tar',
    access: 'viewer',
    produces: 'application/x-tar',
  })
  @Get('jobs/:id/archive')
  async model(
    @CallerParam() { projectId }: RequestCaller,
    @Param('id') jobId: string,
    @Query({ schema: variantQuery }) { variant }: z.output<typeof variantQuery>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { report } = await this.variantOf(projectId, jobId, variant);
    const { name, stages } = await this.service.jobs.get(projectId, jobId);
    const stage = stages.find((one) => one.variant === variant && one.stage === report.result);
    const outputId = stage === undefined ? null : (await this.service.runs.get(projectId, stage.runId)).outputId;
    if (outputId === null)
      throw new ModelpressError('not-found', 'job.no-model', 'No stage of this job made a model.', { id: jobId });
    await sendArchive(this.service, projectId, outputId, name, reply);
  }

  @Endpoint({ summary: 'Jobs side by side', access: 'viewer', response: comparisonView })
  @Get('compare')
  compare(
    @CallerParam() { projectId }: RequestCaller,
    @Query({ schema: compareQuery }) { job }: z.output<typeof compareQuery>,
  ): Promise<JobComparison> {
    return this.service.reports.compare(projectId, job);
  }

  private async variantOf(projectId: string, jobId: string, variant: number): Promise<JobReport['variants'][number]> {
    const { variants } = await this.service.reports.get(projectId, jobId);
    const found = variants.find((one) => one.variant === variant);
    if (found !== undefined) return found;
    const message = `The job has ${variants.length} variants; there is no number ${variant}.`;
    throw new ModelpressError('not-found', 'job.no-variant', message, { field: 'variant' });
  }
}
