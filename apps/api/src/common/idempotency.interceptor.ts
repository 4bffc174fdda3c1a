import { createHash } from 'node:crypto';
import { invalidFields } from '@modelpress/core';
import type { Service } from '@modelpress/service';
import { Inject, Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { from, lastValueFrom, type Observable } from 'rxjs';
import { SERVICE } from '../tokens';
import { callerOf } from './access';

const KEY = /^[\x21-\x7e]{1,200}$/;

/**
 * A POST with an Idempotency-Key is done once: repeated, it gets the first answer. The fingerprint of an upload is its
 * length, because its bytes are not kept in memory.
 */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  constructor(@Inject(SERVICE) private readonly service: Service) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const key = request.headers['idempotency-key'];
    if (request.method !== 'POST' || key === undefined) return next.handle();
    if (typeof key !== 'string' || !KEY.test(key)) {
      const message = 'An Idempotency-Key has 1 to 200 visible ASCII characters.';
      throw invalidFields('request.idempotency-key', [{ field: 'Idempotency-Key', code: 'invalid', message }]);
    }
    const reply = http.getResponse<FastifyReply>();
    return from(this.once(request, reply, key, next));
  }

  private async once(request: FastifyRequest, reply: FastifyReply, key: string, next: CallHandler): Promise<unknown> {
    const { projectId } = callerOf(request);
    const answer = await this.service.idempotency.once(projectId, key, fingerprintOf(request), async () => ({
      status: reply.statusCode,
      body: await lastValueFrom<unknown>(next.handle()),
    }));
    if (answer.replayed) void reply.header('idempotency-replayed', 'true');
    void reply.status(answer.status);
    return answer.body;
  }
}

function fingerprintOf({ method, url, body, headers }: FastifyRequest): string {
  const content = body === undefined ? (headers['content-length'] ?? '') : JSON.stringify(body);
  return createHash('sha256')
    .update(JSON.stringify([method, url, content]))
    .digest('hex');
}
