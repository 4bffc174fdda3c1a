/** @file A service whose every call is refused unless a test provides it: for tests of the HTTP layer alone. */
import { ModelpressError } from '@modelpress/core';
import type { Caller, Service } from '@modelpress/service';

export const SECRETS = { viewer: 'mp_viewer', submitter: 'mp_submitter', admin: 'mp_admin' } as const;

type Parts = {
  readonly [K in keyof Service]?: Service[K] extends (...args: never[]) => unknown ? Service[K] : Partial<Service[K]>;
};

const keys: Partial<Service['keys']> = {
  authenticate(secret: string): Promise<Caller> {
    const role = Object.entries(SECRETS).find(([, known]) => known === secret)?.[0];
    if (role !== 'viewer' && role !== 'submitter' && role !== 'admin')
      return Promise.reject(new ModelpressError('unauthorized', 'auth.invalid', 'The key is not valid.'));
    return Promise.resolve({ projectId: 'project-1', keyId: `key-${role}`, role });
  },
};

/** Parts are looked up when called, so a test may also spy on that a call was not made. */
export function stubService(parts: Parts = {}): Service {
  const given: Record<string, unknown> = { keys, stages: {}, ...parts };
  const part = (name: string): unknown =>
    new Proxy(Object(given[name] ?? {}), {
      get(target: object, method) {
        const found: unknown = Reflect.get(target, method);
        if (found !== undefined) return found;
        return () => Promise.reject(new Error(`the test does not expect ${name}.${String(method)}`));
      },
    });
  return new Proxy({} as Service, {
    get: (_, name) => {
      const value = given[String(name)];
      return typeof value === 'function' || name === 'stages' ? value : part(String(name));
    },
  });
}

export const bearer = (secret: string): { authorization: string } => ({ authorization: `Bearer ${secret}` });
