/** @file What holds for every request, before Nest sees it. */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance } from 'fastify';

const REQUEST_ID = /^[\w.-]{1,64}$/;

/** The caller's X-Request-Id where it is harmless in a log, else a new one. */
export function requestId({ headers }: { readonly headers: IncomingHttpHeaders }): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** `POST /v1/jobs/{id}:cancel` is another spelling of `POST /v1/jobs/{id}/cancel`. */
export const verbAsSegment = ({ url }: { readonly url?: string | undefined }): string =>
  (url ?? '').replace(/^(\/v1\/[^?:]*[^?:/]):([a-z-]+)(?=\?|$)/, '$1/$2');

const YAML_TYPES = ['application/yaml', 'application/x-yaml', 'text/yaml'];

export function addHooks(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff');
    done();
  });
  fastify.addHook('onSend', (_, reply, payload, done) => {
    if (!reply.hasHeader('cache-control')) void reply.header('cache-control', 'no-store');
    done(null, payload);
  });
  // YAML stays text: whoever reads it names the lines of what is wrong.
  fastify.addContentTypeParser(YAML_TYPES, { parseAs: 'string' }, (_, body, done) => done(null, body));
}
