import { randomBytes } from 'node:crypto';
import { invalid, ModelpressError } from '@modelpress/core';
import { IsNull, type DataSource } from 'typeorm';
import type { Caller, Keys, KeyView } from '../contract';
import { ApiKeyEntity, type ApiKey } from '../database/entities';
import { insertMissing, insertRows, updateRows } from '../database/write';
import { notFound } from '../errors';
import { isId, newId } from '../ids';
import { sha256 } from '../planner/stage-key';
import type { Role } from '../state/states';

const PREFIX_LENGTH = 10;
/** `lastUsedAt` is written at most this often: it is for people, and requests must not all write the same row. */
const USED_EVERY_MS = 60_000;

const MIN_SECRET_LENGTH = 16;

export class KeyService implements Keys {
  constructor(private readonly database: DataSource) {}

  async create(projectId: string, input: { name: string; role: Role }): Promise<KeyView & { readonly secret: string }> {
    const secret = `mp_${randomBytes(32).toString('base64url')}`;
    const key = newKey(projectId, input, secret);
    await insertRows(this.database.manager, ApiKeyEntity, [key]);
    return { ...viewOf(key), secret };
  }

  async list(projectId: string): Promise<readonly KeyView[]> {
    const keys = await this.database.manager.find(ApiKeyEntity, { where: { projectId }, order: { id: 'ASC' } });
    return keys.map(viewOf);
  }

  async revoke(projectId: string, keyId: string): Promise<void> {
    const where = { id: keyId, projectId, revokedAt: IsNull() };
    const revoked = isId(keyId)
      ? await updateRows(this.database.manager, ApiKeyEntity, where, { revokedAt: new Date() })
      : 0;
    if (revoked === 0) throw notFound('key', keyId);
  }

  async authenticate(secret: string): Promise<Caller> {
    const key = await this.database.manager.findOneBy(ApiKeyEntity, { hash: sha256(secret), revokedAt: IsNull() });
    if (key === null) throw new ModelpressError('unauthorized', 'key.unknown', 'The API key is unknown or revoked.');
    const now = new Date();
    if (key.lastUsedAt === null || now.getTime() - key.lastUsedAt.getTime() > USED_EVERY_MS) {
      await updateRows(this.database.manager, ApiKeyEntity, { id: key.id }, { lastUsedAt: now });
    }
    return { projectId: key.projectId, keyId: key.id, role: key.role };
  }

  async ensure(projectId: string, input: { name: string; role: Role; secret: string }): Promise<void> {
    if (input.secret.length < MIN_SECRET_LENGTH) {
      throw invalid('key.short', `An API key has at least ${MIN_SECRET_LENGTH} characters.`, { field: 'secret' });
    }
    await insertMissing(this.database.manager, ApiKeyEntity, [newKey(projectId, input, input.secret)]);
  }
}

function newKey(projectId: string, { name, role }: { name: string; role: Role }, secret: string): ApiKey {
  if (name.trim() === '' || name.length > 120) {
    throw invalid('key.name', 'A name has 1 to 120 characters.', { field: 'name' });
  }
  return {
    id: newId(),
    projectId,
    name,
    role,
    hash: sha256(secret),
    prefix: secret.slice(0, PREFIX_LENGTH),
    createdAt: new Date(),
    lastUsedAt: null,
    revokedAt: null,
  };
}

const viewOf = ({ id, name, role, prefix, createdAt, lastUsedAt, revokedAt }: ApiKey): KeyView => ({
  id,
  name,
  role,
  prefix,
  createdAt,
  lastUsedAt,
  revokedAt,
});
