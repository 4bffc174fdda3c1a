/** @file Results of jobs. */
import type { Report } from '@modelpress/core';
import type { VariantValues } from '../database/entities';

/** The result of a job: one report per variant of its sweep (one in all for a plain job). */
export interface JobReport {
  readonly jobId: string;
  /** Every goal of every variant was reached. */
  readonly goalsReached: boolean;
  readonly variants: readonly { readonly variant: number; readonly values: VariantValues; readonly report: Report }[];
}

export interface Reports {
  /** Written when the job ends (also when it fails or is cancelled). @throws `conflict` before that. */
  get(projectId: string, jobId: string): Promise<JobReport>;
  /** The same figures of several jobs side by side. */
  compare(projectId: string, jobIds: readonly string[]): Promise<JobComparison>;
}

export interface JobComparison {
  readonly jobs: readonly { readonly id: string; readonly name: string }[];
  /** One row per job and variant: its figures by name, with `x`-ratios to the baseline where there is one. */
  readonly rows: readonly {
    readonly jobId: string;
    readonly variant: number;
    readonly values: VariantValues;
    readonly figures: Readonly<Record<string, number>>;
    /** No other row is at least as good in every one of quality, bytes and latency, and better in one. */
    readonly pareto: boolean;
  }[];
}
