import { EntitySchema } from 'typeorm';
import { ROLES, type Role } from '../../state/states';
import { createdAt, id, oneOf, references, text, time, uuid, word } from '../columns';

/** A key of a project. Only its SHA-256 is kept: the key itself is 256 random bits, so no slow hash is needed. */
export interface ApiKey {
  id: string;
  projectId: string;
  name: string;
  role: Role;
  hash: string;
  /** First characters, so that a person can tell keys apart. */
  prefix: string;
  createdAt: Date;
  lastUsedAt: Date | null;
  revokedAt: Date | null;
}

export const ApiKeyEntity = new EntitySchema<ApiKey>({
  name: 'api_key',
  columns: {
    id: id(),
    projectId: { ...uuid(), ...references('project') },
    name: text(),
    role: word(),
    hash: text({ unique: true }),
    prefix: text(),
    createdAt: createdAt(),
    lastUsedAt: time({ nullable: true }),
    revokedAt: time({ nullable: true }),
  },
  indices: [{ name: 'api_key_project', columns: ['projectId'] }],
  checks: [oneOf('api_key', 'role', ROLES)],
});
