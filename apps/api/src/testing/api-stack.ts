/** @file The API over a real service (PostgreSQL, folder store, workers on demand), reached by HTTP. */
import type { AddressInfo } from 'node:net';
import type { Role } from '@modelpress/service';
import { openTestStack, type TestStack } from '@modelpress/service/testing';
import { createApi } from '../app';
import type { ApiConfig } from '../config';

export interface ApiStack {
  readonly stack: TestStack;
  readonly url: string;
  readonly port: number;
  readonly keys: Readonly<Record<Role, string>>;
  /** The admin key of another project. */
  readonly stranger: string;
  /** Sends a request as admin unless told otherwise. `json` becomes the body. */
  call(method: string, path: string, options?: CallOptions): Promise<Response>;
  close(): Promise<void>;
}

export interface CallOptions {
  readonly key?: string;
  readonly json?: unknown;
  readonly body?: FormData | string;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function openApiStack(config: Partial<ApiConfig> = {}): Promise<ApiStack> {
  const stack = await openTestStack();
  const { service, projectId } = stack;
  const key = async (project: string, role: Role): Promise<string> =>
    (await service.keys.create(project, { name: role, role })).secret;
  const keys = {
    viewer: await key(projectId, 'viewer'),
    submitter: await key(projectId, 'submitter'),
    admin: await key(projectId, 'admin'),
  };
  const other = await service.projects.create({ name: 'another team' });
  const stranger = await key(other.id, 'admin');
  const api = await createApi(service, { logLevel: 'silent', rateLimit: { perSecond: 1000, burst: 1000 }, ...config });
  await api.listen(0, '127.0.0.1');
  const { port } = api.getHttpServer().address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return {
    stack,
    url,
    port,
    keys,
    stranger,
    call: (method, path, { key = keys.admin, json, body, headers = {} } = {}) =>
      fetch(url + path, {
        method,
        redirect: 'manual',
        headers: {
          authorization: `Bearer ${key}`,
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
        ...(body === undefined ? {} : { body }),
      }),
    close: async () => {
      await api.close();
      await stack.close();
    },
  };
}

/** A form of text fields and files; a file is `[field, name, content]`. */
export function form(
  fields: Readonly<Record<string, unknown>>,
  files: readonly (readonly [field: string, name: string, content: Uint8Array | string])[],
): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields))
    data.append(name, typeof value === 'string' ? value : JSON.stringify(value));
  for (const [field, name, content] of files) data.append(field, new Blob([content as BlobPart]), name);
  return data;
}
