/** @file Follows a job to its end and shows how far it is. */
import { isFinal } from '@modelpress/client';
import type { Client, JobDetail } from '@modelpress/client';
import { formatSeconds } from '@modelpress/core';
import { tell } from './output';

type Stage = JobDetail['stages'][number];
type Progress = NonNullable<Stage['progress']>;

/** Least time between two looks at the job. */
const REFRESH_MS = 200;
const BAR = 24;

/** Watches a job until it has ended, or until the signal fires; returns it as it was then. */
export async function followJob(client: Client, id: string, signal?: AbortSignal): Promise<JobDetail> {
  const view = process.stderr.isTTY ? new LiveView() : new LineView();
  let job = await client.jobs.get(id);
  view.show(job);
  let seen = Date.now();
  for await (const event of client.jobs.watch(id, signal ? { signal } : {})) {
    if (event.kind === 'run.metrics' || Date.now() - seen < REFRESH_MS) continue;
    job = await client.jobs.get(id);
    view.show(job);
    seen = Date.now();
  }
  job = await client.jobs.get(id);
  view.show(job);
  return job;
}

/** What is the matter with a job that did not succeed. */
export function failureLines({ stages }: JobDetail): string[] {
  return stages.flatMap(({ stage, error }) => (error ? [`${stage}: ${error.message}`] : []));
}

const nameOf = ({ stage, variant }: Stage, { variants }: JobDetail): string =>
  variants.length > 1 ? `${variant + 1}/${variants.length} ${stage}` : stage;

/** A block of lines that is drawn over itself. */
class LiveView {
  private drawn = 0;

  show(job: JobDetail): void {
    const width = Math.max(...job.stages.map((stage) => nameOf(stage, job).length));
    const lines = job.stages.map((stage) => `  ${nameOf(stage, job).padEnd(width)}  ${statusOf(stage)}`);
    const columns = process.stderr.columns;
    const up = this.drawn > 0 ? `\u001B[${this.drawn}A` : '';
    process.stderr.write(up + lines.map((line) => `\u001B[2K${line.slice(0, columns - 1)}\n`).join(''));
    this.drawn = lines.length;
  }
}

function statusOf({ state, progress, reused, waitingFor, startedAt, finishedAt }: Stage): string {
  if (state === 'running' && progress) {
    const filled = Math.round(progress.fraction * BAR);
    return `${'█'.repeat(filled)}${'░'.repeat(BAR - filled)} ${progressOf(progress)}`;
  }
  if (reused && isFinal(state)) return `${state} (reused)`;
  if (state === 'queued')
    return waitingFor === null || waitingFor === 'stage' ? 'waiting' : `waiting for ${waitingFor}`;
  return startedAt && finishedAt
    ? `${state} after ${formatSeconds((Date.parse(finishedAt) - Date.parse(startedAt)) / 1000)}`
    : state;
}

function progressOf({ phase, fraction, etaSeconds }: Progress): string {
  const eta = etaSeconds === undefined ? '' : `, ${formatSeconds(etaSeconds)} left`;
  return `${Math.round(100 * fraction)} %  ${phase}${eta}`;
}

/** One line for each change of state, each new phase and each tenth of a stage: for logs. */
class LineView {
  private readonly last = new Map<string, string>();

  show(job: JobDetail): void {
    for (const stage of job.stages) {
      const { state, progress } = stage;
      const name = nameOf(stage, job);
      const running = state === 'running' && progress ? progress : undefined;
      // Phases count up ("weight 3/76"): numbers do not make a new one.
      const key = running
        ? `${state} ${running.phase.replace(/\d+/g, '')} ${Math.floor(10 * running.fraction)}`
        : state;
      if (this.last.get(name) === key) continue;
      this.last.set(name, key);
      tell(`  ${name}: ${running ? progressOf(running) : statusOf(stage)}`);
    }
  }
}
