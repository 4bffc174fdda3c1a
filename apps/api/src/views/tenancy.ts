import { ROLES, type KeyView, type ProjectView } from '@modelpress/service';
import { z } from 'zod';
import { id, time, viewOf } from './view';

export const projectView = viewOf<ProjectView>()(
  z
    .object({
      id,
      name: z.string(),
      maxConcurrentRuns: z.int().nullable(),
      retentionDays: z.int().nullable(),
      createdAt: time,
    })
    .meta({ id: 'Project' }),
);

const keyFields = {
  id,
  name: z.string(),
  role: z.enum(ROLES),
  prefix: z.string().describe('First characters of the key, to tell keys apart.'),
  createdAt: time,
  lastUsedAt: time.nullable(),
  revokedAt: time.nullable(),
};

export const keyView = viewOf<KeyView>()(z.object(keyFields).meta({ id: 'Key' }));

export const newKeyView = viewOf<KeyView & { readonly secret: string }>()(
  z.object({ ...keyFields, secret: z.string().describe('The key itself. It is shown once.') }).meta({ id: 'NewKey' }),
);

export const callerView = z
  .object({ project: projectView, keyId: id, role: z.enum(ROLES), operator: z.boolean() })
  .meta({ id: 'Caller' });
