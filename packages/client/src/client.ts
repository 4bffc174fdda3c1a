/** @file The API, method by method; types come from openapi.json. */
import { watch, type WatchOptions } from './events';
import { Http, type ClientOptions } from './http';
import type * as Api from './types.generated';
import { multipart, type UploadFile } from './upload';

export interface Page<T> {
  readonly items: readonly T[];
  /** Cursor of the following page; null on the last. */
  readonly next: string | null;
}

export interface PageQuery {
  readonly cursor?: string;
  readonly limit?: number;
}

export interface Submission {
  /** Repeating a request with the same key gives the first answer; also lets the client repeat it by itself. */
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
}

export interface UploadProgress {
  /** Hears the bytes sent so far. */
  readonly onProgress?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

/** A file or an archive as it comes. */
export interface Download {
  readonly name: string;
  readonly bytes: number | undefined;
  readonly body: ReadableStream<Uint8Array>;
}

export type State = Api.Job['state'];

const FINAL_STATES: readonly State[] = ['succeeded', 'failed', 'cancelled'];

/** Whether a job or stage run in this state will not change by itself. */
export const isFinal = (state: State): boolean => FINAL_STATES.includes(state);

const part = encodeURIComponent;
const filePath = (path: string): string => path.split('/').map(part).join('/');

const options = ({ idempotencyKey, signal }: Submission) => ({
  headers: { 'idempotency-key': idempotencyKey },
  signal,
});

/** A client of one project. */
export class Client {
  private readonly http: Http;

  constructor(clientOptions: ClientOptions) {
    this.http = new Http(clientOptions);
  }

  /** Project, key and role of this client. */
  readonly me = (): Promise<Api.Caller> => this.http.json('GET', '/v1/me');

  readonly projects = {
    list: (): Promise<readonly Api.Project[]> => this.http.json('GET', '/v1/projects'),
    create: (json: Api.CreateProject): Promise<Api.Project> => this.http.json('POST', '/v1/projects', { json }),
    get: (id: string): Promise<Api.Project> => this.http.json('GET', `/v1/projects/${part(id)}`),
    update: (id: string, json: Api.UpdateProject): Promise<Api.Project> =>
      this.http.json('PATCH', `/v1/projects/${part(id)}`, { json }),
  };

  readonly keys = {
    list: (projectId: string): Promise<readonly Api.Key[]> =>
      this.http.json('GET', `/v1/projects/${part(projectId)}/keys`),
    create: (projectId: string, json: Api.CreateKey): Promise<Api.NewKey> =>
      this.http.json('POST', `/v1/projects/${part(projectId)}/keys`, { json }),
    revoke: (projectId: string, keyId: string): Promise<void> =>
      this.http.json('DELETE', `/v1/projects/${part(projectId)}/keys/${part(keyId)}`),
  };

  readonly models = {
    upload: (
      fields: Api.ModelUpload,
      files: readonly UploadFile[],
      progress: UploadProgress = {},
    ): Promise<Api.ImportedModel> => this.upload('/v1/models', fields, files, progress),
    fromRun: (json: Api.ModelFromRun): Promise<Api.Model> => this.http.json('POST', '/v1/models/from-run', { json }),
    list: (query: PageQuery = {}): Promise<Page<Api.Model>> =>
      this.http.json('GET', '/v1/models', { query: { ...query } }),
    get: (id: string): Promise<Api.Model> => this.http.json('GET', `/v1/models/${part(id)}`),
    files: (id: string): Promise<readonly Api.StoredFile[]> => this.http.json('GET', `/v1/models/${part(id)}/files`),
    /** All files as one tar. */
    archive: (id: string): Promise<Download> => this.download(`/v1/models/${part(id)}/archive`),
    delete: (id: string): Promise<void> => this.http.json('DELETE', `/v1/models/${part(id)}`),
  };

  readonly datasets = {
    upload: (
      fields: Api.DatasetUpload,
      files: readonly UploadFile[],
      progress: UploadProgress = {},
    ): Promise<Api.Dataset> => this.upload('/v1/datasets', fields, files, progress),
    list: (query: PageQuery = {}): Promise<Page<Api.Dataset>> =>
      this.http.json('GET', '/v1/datasets', { query: { ...query } }),
    get: (id: string): Promise<Api.Dataset> => this.http.json('GET', `/v1/datasets/${part(id)}`),
    files: (id: string): Promise<readonly Api.StoredFile[]> => this.http.json('GET', `/v1/datasets/${part(id)}/files`),
    delete: (id: string): Promise<void> => this.http.json('DELETE', `/v1/datasets/${part(id)}`),
  };

  readonly recipes = {
    /** `recipe`: the recipe, or its YAML text. */
    create: (recipe: Api.RecipeInput | string): Promise<Api.SavedRecipe> =>
      this.http.json('POST', '/v1/recipes', { json: recipe }),
    list: (query: PageQuery = {}): Promise<Page<Api.SavedRecipe>> =>
      this.http.json('GET', '/v1/recipes', { query: { ...query } }),
    get: (id: string): Promise<Api.SavedRecipe> => this.http.json('GET', `/v1/recipes/${part(id)}`),
    update: (id: string, recipe: Api.RecipeInput | string): Promise<Api.SavedRecipe> =>
      this.http.json('PUT', `/v1/recipes/${part(id)}`, { json: recipe }),
    delete: (id: string): Promise<void> => this.http.json('DELETE', `/v1/recipes/${part(id)}`),
  };

  readonly jobs = {
    submit: (json: Api.SubmitJob, submission: Submission = {}): Promise<Api.JobDetail> =>
      this.http.json('POST', '/v1/jobs', { json, ...options(submission) }),
    dryRun: (json: Api.SubmitJob): Promise<Api.DryRun> => this.http.json('POST', '/v1/jobs/dry-run', { json }),
    list: (query: PageQuery & { readonly state?: State } = {}): Promise<Page<Api.Job>> =>
      this.http.json('GET', '/v1/jobs', { query: { ...query } }),
    get: (id: string): Promise<Api.JobDetail> => this.http.json('GET', `/v1/jobs/${part(id)}`),
    cancel: (id: string): Promise<Api.JobDetail> => this.http.json('POST', `/v1/jobs/${part(id)}/cancel`),
    pause: (id: string): Promise<Api.JobDetail> => this.http.json('POST', `/v1/jobs/${part(id)}/pause`),
    resume: (id: string): Promise<Api.JobDetail> => this.http.json('POST', `/v1/jobs/${part(id)}/resume`),
    retry: (id: string): Promise<Api.JobDetail> => this.http.json('POST', `/v1/jobs/${part(id)}/retry`),
    clone: (id: string, json: Api.CloneJob = {}, submission: Submission = {}): Promise<Api.JobDetail> =>
      this.http.json('POST', `/v1/jobs/${part(id)}/clone`, { json, ...options(submission) }),
    delete: (id: string): Promise<void> => this.http.json('DELETE', `/v1/jobs/${part(id)}`),
    /** The job's events until it has ended; survives broken connections. */
    watch: (id: string, watchOptions: WatchOptions = {}): AsyncGenerator<Api.Event> => {
      const hasEnded = async (): Promise<boolean> => isFinal((await this.jobs.get(id)).state);
      return watch(this.http, `/v1/jobs/${part(id)}/events`, hasEnded, watchOptions);
    },
    report: (id: string): Promise<Api.JobReport> => this.http.json('GET', `/v1/jobs/${part(id)}/report`),
    /** The report as a page that needs no other file. */
    reportPage: async (id: string, variant?: number): Promise<string> =>
      (await this.http.send('GET', `/v1/jobs/${part(id)}/report.html`, { query: { variant } })).text(),
    /** The model that the job made, as one tar. */
    archive: (id: string, variant = 0): Promise<Download> => this.download(`/v1/jobs/${part(id)}/archive`, { variant }),
    compare: (ids: readonly string[]): Promise<Api.JobComparison> =>
      this.http.json('GET', '/v1/compare', { query: { job: ids } }),
  };

  readonly stageRuns = {
    list: (query: PageQuery & { readonly state?: State; readonly type?: string } = {}): Promise<Page<Api.StageRun>> =>
      this.http.json('GET', '/v1/stage-runs', { query: { ...query } }),
    get: (id: string): Promise<Api.StageRunDetail> => this.http.json('GET', `/v1/stage-runs/${part(id)}`),
    logs: (
      id: string,
      query: { readonly after?: number; readonly limit?: number; readonly level?: Api.LogLine['level'] } = {},
    ): Promise<readonly Api.LogLine[]> =>
      this.http.json('GET', `/v1/stage-runs/${part(id)}/logs`, { query: { ...query } }),
    /** The log as text; with `follow` until the run has ended. */
    logText: (id: string, query: { readonly after?: number; readonly follow?: boolean } = {}): Promise<Download> =>
      this.download(`/v1/stage-runs/${part(id)}/logs.txt`, { ...query }),
    metrics: (id: string, limit?: number): Promise<Api.Metrics> =>
      this.http.json('GET', `/v1/stage-runs/${part(id)}/metrics`, { query: { limit } }),
  };

  readonly artifacts = {
    get: (id: string): Promise<Api.Artifact> => this.http.json('GET', `/v1/artifacts/${part(id)}`),
    archive: (id: string): Promise<Download> => this.download(`/v1/artifacts/${part(id)}/archive`),
    /** One file; `range` as bytes from start to end, both included. */
    file: (id: string, path: string, range?: readonly [start: number, end: number]): Promise<Download> =>
      this.download(`/v1/artifacts/${part(id)}/files/${filePath(path)}`, {}, range && `bytes=${range[0]}-${range[1]}`),
  };

  /** The project's events, as they happen, until the signal fires. */
  readonly events = (watchOptions: WatchOptions = {}): AsyncGenerator<Api.Event> =>
    watch(this.http, '/v1/events', async () => false, watchOptions);

  readonly queue = (): Promise<Api.Queue> => this.http.json('GET', '/v1/queue');

  readonly stages = {
    list: (): Promise<readonly Api.StageType[]> => this.http.json('GET', '/v1/stages'),
    get: (type: string): Promise<Api.StageType> => this.http.json('GET', `/v1/stages/${part(type)}`),
  };

  readonly server = {
    health: (): Promise<Api.Health> => this.http.json('GET', '/healthz'),
    readiness: (): Promise<Api.Readiness> => this.http.json('GET', '/readyz'),
    /** Prometheus text. */
    metrics: async (): Promise<string> => (await this.http.send('GET', '/metrics')).text(),
  };

  private upload<T>(
    path: string,
    fields: object,
    files: readonly UploadFile[],
    { onProgress, signal }: UploadProgress,
  ): Promise<T> {
    const { contentType, body } = multipart(fields, files, onProgress);
    return this.http.json('POST', path, { body, headers: { 'content-type': contentType }, signal });
  }

  private async download(path: string, query = {}, range?: string): Promise<Download> {
    const { body, headers } = await this.http.send('GET', path, { query, headers: { range } });
    const name =
      /filename="([^"]*)"/.exec(headers.get('content-disposition') ?? '')?.[1] ?? path.split('/').at(-1) ?? '';
    const length = headers.get('content-length');
    return { name, bytes: length === null ? undefined : Number(length), body: body ?? new Blob([]).stream() };
  }
}

/** Every item of a list, page after page. */
export async function* everyItem<T>(list: (query: PageQuery) => Promise<Page<T>>, limit = 200): AsyncGenerator<T> {
  let page = await list({ limit });
  yield* page.items;
  while (page.next !== null) {
    page = await list({ limit, cursor: page.next });
    yield* page.items;
  }
}
