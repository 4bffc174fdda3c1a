import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { statusOf, toModelpressError, toProblem } from './problem';

/** Turns whatever was thrown into problem details. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    sendProblem(thrown, http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>());
  }
}

/** Also used where Nest is not asked: parsing of bodies, unknown routes. */
export function sendProblem(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const error = toModelpressError(thrown);
  const status = statusOf(error);
  if (status >= 500) request.log.error({ err: error.cause ?? error, code: error.code }, error.message);
  // Bytes of a download are already under way: all that is left is to break off, which the client notices.
  if (reply.sent || reply.raw.headersSent) {
    reply.raw.destroy();
    return;
  }
  if (status === 401) void reply.header('www-authenticate', 'Bearer');
  const { retryAfterSeconds } = error.details;
  if (typeof retryAfterSeconds === 'number') void reply.header('retry-after', String(retryAfterSeconds));
  void reply
    .status(status)
    .header('content-type', 'application/problem+json; charset=utf-8')
    .send(JSON.stringify(toProblem(error, request.id)));
}
