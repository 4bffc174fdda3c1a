/** @file Requests with a key; what may be repeated is, when the server or the network fails for a moment. */
import { ApiError, errorOf } from './error';

export interface ClientOptions {
  /** Address of the server, e.g. `http://127.0.0.1:7077`. */
  readonly url: string;
  /** API key. */
  readonly key: string;
  /** Times that a request is repeated; only those that can be: GETs, and POSTs with an idempotency key. Default 3. */
  readonly retries?: number;
  readonly fetch?: typeof globalThis.fetch;
}

export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

export interface RequestOptions {
  readonly query?: Query;
  /** Sent as JSON. */
  readonly json?: unknown;
  readonly body?: ReadableStream<Uint8Array> | string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
}

const PASSING_STATUS = [429, 502, 503, 504];
const LONGEST_WAIT_MS = 20_000;

const sleep = (ms: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });

/** Seconds of a Retry-After header, else a pause that doubles; with a random part, so that clients do not come together. */
const pauseMs = (attempt: number, retryAfter: string | null): number =>
  Math.min(LONGEST_WAIT_MS, retryAfter === null ? 200 * 2 ** attempt : 1000 * Number(retryAfter)) *
  (1 + Math.random() / 4);

export class Http {
  private readonly fetch: typeof globalThis.fetch;

  constructor(private readonly options: ClientOptions) {
    this.fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  /** The JSON answer; undefined for an empty one. @throws ApiError */
  async json<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const response = await this.send(method, path, options);
    if (response.status === 204) return undefined as T;
    return (await response.json()) as T;
  }

  /** The response of a request that succeeded. @throws ApiError */
  async send(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    const { retries = 3 } = this.options;
    const repeatable = method === 'GET' || options.headers?.['idempotency-key'] !== undefined;
    for (let attempt = 0; ; attempt++) {
      const last = attempt >= retries || !repeatable || options.body instanceof ReadableStream;
      const response = await this.once(method, path, options).catch((error: unknown) => {
        options.signal?.throwIfAborted();
        if (last) throw new ApiError(0, 'network', `${this.options.url} does not answer: ${reasonOf(error)}`);
        return undefined;
      });
      if (response?.ok || response?.status === 304) return response;
      if (response && (last || !PASSING_STATUS.includes(response.status))) throw await errorOf(response);
      await response?.body?.cancel();
      await sleep(pauseMs(attempt, response?.headers.get('retry-after') ?? null), options.signal);
    }
  }

  private once(
    method: string,
    path: string,
    { query = {}, json, body, headers = {}, signal }: RequestOptions,
  ): Promise<Response> {
    const url = new URL(this.options.url.replace(/\/$/, '') + path);
    for (const [name, value] of Object.entries(query))
      for (const one of [value].flat()) if (one !== undefined) url.searchParams.append(name, String(one));
    const given = Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const init: RequestInit & { duplex?: 'half' } = {
      method,
      headers: {
        authorization: `Bearer ${this.options.key}`,
        ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        ...Object.fromEntries(given),
      },
      ...(signal ? { signal } : {}),
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      // Streamed bodies need `duplex`, which the DOM types do not have yet.
      ...(body === undefined ? {} : { body, duplex: 'half' }),
    };
    return this.fetch(url, init);
  }
}

/** fetch hides the reason in `cause`. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error && cause.message !== '' ? cause.message : error.message;
}
