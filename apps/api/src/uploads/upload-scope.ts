import type { IncomingMessage } from 'node:http';
import type { Service } from '@modelpress/service';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** Time that a refused client gets to finish sending, so that it reads the answer instead of a broken connection. */
const DISCARD_MS = 2000;

/** Runs work with an empty folder that is gone afterwards, and a signal that fires if the client goes away. */
export async function withUploadFolder<T>(
  service: Service,
  request: FastifyRequest,
  reply: FastifyReply,
  work: (folder: string, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const scratch = await service.scratch();
  const gone = new AbortController();
  const onClose = (): void => gone.abort();
  request.raw.socket.once('close', onClose);
  try {
    return await work(scratch.path, gone.signal);
  } catch (error) {
    if (!(await discardRest(request.raw))) void reply.header('connection', 'close');
    throw error;
  } finally {
    request.raw.socket.off('close', onClose);
    await scratch.remove();
  }
}

/** Reads what is left of a body and forgets it. @returns false if it did not end in time. */
async function discardRest(request: IncomingMessage): Promise<boolean> {
  if (request.readableEnded || request.destroyed) return true;
  request.unpipe();
  request.resume();
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), DISCARD_MS);
    const onEnd = (): void => {
      clearTimeout(timer);
      resolve(true);
    };
    request.once('end', onEnd);
    request.once('close', onEnd);
  });
}
