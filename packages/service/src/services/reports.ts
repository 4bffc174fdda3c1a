import { findMetric, invalid, speedup, type Report } from '@modelpress/core';
import { type DataSource } from 'typeorm';
import type { JobComparison, JobReport, Reports } from '../contract';
import { JobEntity, ReportEntity } from '../database/entities';
import { conflict, notFound } from '../errors';
import { isId } from '../ids';

const MAX_COMPARED = 50;

type Row = Omit<JobComparison['rows'][number], 'pareto'>;

export class ReportService implements Reports {
  constructor(private readonly database: DataSource) {}

  async get(projectId: string, jobId: string): Promise<JobReport> {
    const job = isId(jobId) ? await this.database.manager.findOneBy(JobEntity, { id: jobId, projectId }) : null;
    if (job === null) throw notFound('job', jobId);
    const report = job.finishedAt === null ? null : await this.database.manager.findOneBy(ReportEntity, { jobId });
    if (report === null)
      throw conflict('report.not-ready', `The job is ${job.state}: it has no report yet.`, { id: jobId });
    return report.document as JobReport;
  }

  async compare(projectId: string, jobIds: readonly string[]): Promise<JobComparison> {
    if (jobIds.length < 1 || jobIds.length > MAX_COMPARED) {
      throw invalid('compare.jobs', `Name 1 to ${MAX_COMPARED} jobs.`, { field: 'jobs' });
    }
    const reports = await Promise.all(jobIds.map((jobId) => this.get(projectId, jobId)));
    const rows = reports.flatMap(({ jobId, variants }) =>
      variants.map(({ variant, values, report }): Row => ({ jobId, variant, values, figures: figuresOf(report) })),
    );
    return {
      jobs: reports.map(({ jobId, variants }) => ({ id: jobId, name: variants[0]?.report.job.name ?? '' })),
      rows: rows.map((row) => ({ ...row, pareto: !rows.some((other) => dominates(other, row)) })),
    };
  }
}

/** Figures by which models are chosen, of the resulting model. */
const CHOSEN_BY = ['accuracy', 'macroF1', 'bytes.model', 'latency.p50'] as const;

function figuresOf({ comparisons }: Report): Record<string, number> {
  const figures: Record<string, number> = {};
  for (const metric of CHOSEN_BY) {
    const found = findMetric(comparisons, metric);
    if (found === undefined) continue;
    figures[metric] = found.candidate;
    if (found.baseline !== null) figures[`${metric}.original`] = found.baseline;
  }
  const ratio = speedup(comparisons)?.mean;
  return ratio === undefined ? figures : { ...figures, speedup: ratio };
}

/** Pareto: as good in everything that both measured, better in something. */
function dominates(other: Row, row: Row): boolean {
  const differences = CHOSEN_BY.flatMap((metric) => {
    const [theirs, ours] = [other.figures[metric], row.figures[metric]];
    if (theirs === undefined || ours === undefined) return [];
    const lowerIsBetter = metric === 'bytes.model' || metric === 'latency.p50';
    return [lowerIsBetter ? ours - theirs : theirs - ours];
  });
  return differences.every((difference) => difference >= 0) && differences.some((difference) => difference > 0);
}
