import type { Config } from '@modelpress/service';

/** What the API needs to know besides its service. */
export interface ApiConfig {
  /** This key may also manage projects; undefined: nobody can through the API. */
  readonly operatorKey: string | undefined;
  /** Bytes of all files of one upload. */
  readonly maxUploadBytes: number;
  /** Files of one upload. */
  readonly maxUploadFiles: number;
  /** Bytes of a JSON or YAML body. */
  readonly maxBodyBytes: number;
  /** Uploads that are checked and converted at the same time; each in a process of its own. */
  readonly maxImports: number;
  readonly importTimeoutMs: number;
  /** Origins that browsers may call from. */
  readonly corsOrigins: readonly string[];
  /** Requests per second and key over time, and how many may come at once. */
  readonly rateLimit: { readonly perSecond: number; readonly burst: number };
  /** Silence on an event stream before a comment line is sent, so that proxies keep it open. */
  readonly heartbeatMs: number;
  readonly logLevel: Config['logLevel'];
}

export const DEFAULT_API_CONFIG: ApiConfig = {
  operatorKey: undefined,
  maxUploadBytes: 8 * 2 ** 30,
  maxUploadFiles: 64,
  maxBodyBytes: 2 ** 20,
  maxImports: 2,
  importTimeoutMs: 15 * 60_000,
  corsOrigins: [],
  rateLimit: { perSecond: 100, burst: 300 },
  heartbeatMs: 15_000,
  logLevel: 'info',
};

/** The API's part of a process configuration. */
export const apiConfigOf = (config: Config): ApiConfig => ({
  ...DEFAULT_API_CONFIG,
  operatorKey: config.api.bootstrapKey,
  maxUploadBytes: config.api.maxUploadBytes,
  corsOrigins: config.api.corsOrigins,
  rateLimit: { perSecond: config.api.rateLimit, burst: 3 * config.api.rateLimit },
  logLevel: config.logLevel,
});
