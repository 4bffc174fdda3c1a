import type { LogView, Service } from '@modelpress/service';

const PAGE = 1000;

function textOf({ time, level, attempt, message, fields }: LogView): string {
  const more = Object.keys(fields).length === 0 ? '' : ` ${JSON.stringify(fields)}`;
  return `${time.toISOString()} ${level.padEnd(5)} [${attempt}] ${message}${more}\n`;
}

/** A run's log lines as text, page by page, or as they come. */
export async function* logText(
  service: Service,
  projectId: string,
  runId: string,
  after: number,
  follow: boolean,
  signal: AbortSignal,
): AsyncGenerator<string> {
  if (follow) {
    for await (const line of service.logs.follow(projectId, runId, after, signal)) yield textOf(line);
    return;
  }
  let last = after;
  while (!signal.aborted) {
    const lines = await service.logs.list(projectId, runId, { after: last, limit: PAGE });
    yield lines.map(textOf).join('');
    last = lines.at(-1)?.id ?? last;
    if (lines.length < PAGE) return;
  }
}
