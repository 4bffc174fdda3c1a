import { invalid } from '@modelpress/core';
import type { DataSource } from 'typeorm';
import type { Idempotency } from '../contract';
import { IdempotencyEntity, type IdempotencyRow } from '../database/entities';
import { insertRows, updateRows } from '../database/write';
import { conflict } from '../errors';
import { isDuplicate } from './duplicates';

const MAX_KEY_LENGTH = 200;
/** A request that has not been answered for this long died with its process; its key may be used again. */
const ABANDONED_MS = 10 * 60_000;

type Answer = NonNullable<IdempotencyRow['response']>;

export class IdempotencyService implements Idempotency {
  constructor(private readonly database: DataSource) {}

  async once<T extends Answer>(
    projectId: string,
    key: string,
    fingerprint: string,
    work: () => Promise<T>,
  ): Promise<Answer & { readonly replayed: boolean }> {
    if (key === '' || key.length > MAX_KEY_LENGTH) {
      throw invalid('idempotency.key', `An Idempotency-Key has 1 to ${MAX_KEY_LENGTH} characters.`, {
        field: 'Idempotency-Key',
      });
    }
    const known = await this.reserve(projectId, key, fingerprint);
    if (known !== undefined) return { ...known, replayed: true };
    const where = { projectId, key };
    try {
      const { status, body } = await work();
      // As JSON has it: the first answer and its repeats must not differ.
      const response: Answer = { status, body: JSON.parse(JSON.stringify(body ?? null)) as unknown };
      await updateRows(this.database.manager, IdempotencyEntity, where, { response });
      return { ...response, replayed: false };
    } catch (error) {
      // Nothing was done, so the request may be sent again.
      await this.database.manager.delete(IdempotencyEntity, where);
      throw error;
    }
  }

  /** Takes the key, or finds the answer that it already has. */
  private async reserve(projectId: string, key: string, fingerprint: string): Promise<Answer | undefined> {
    const row = { projectId, key, fingerprint, response: null, createdAt: new Date() };
    try {
      await insertRows(this.database.manager, IdempotencyEntity, [row]);
      return undefined;
    } catch (error) {
      if (!isDuplicate(error)) throw error;
    }
    const known = await this.database.manager.findOneBy(IdempotencyEntity, { projectId, key });
    if (known !== null && known.fingerprint !== fingerprint) {
      const message = 'This Idempotency-Key was used for another request.';
      throw conflict('idempotency.mismatch', message, { field: 'Idempotency-Key' });
    }
    if (known?.response !== null && known?.response !== undefined) return known.response;
    if (known !== null && Date.now() - known.createdAt.getTime() > ABANDONED_MS) {
      await this.database.manager.delete(IdempotencyEntity, { projectId, key, createdAt: known.createdAt });
      return this.reserve(projectId, key, fingerprint);
    }
    throw conflict('idempotency.in-progress', 'The first request with this Idempotency-Key is being answered.', {
      field: 'Idempotency-Key',
    });
  }
}
