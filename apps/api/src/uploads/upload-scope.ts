import type { Service } from '@modelpress/service';
import type { FastifyRequest } from 'fastify';

/** Runs work with an empty folder that is gone afterwards, and a signal that fires if the client goes away. */
export async function withUploadFolder<T>(
  service: Service,
  request: FastifyRequest,
  work: (folder: string, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const scratch = await service.scratch();
  const gone = new AbortController();
  const onClose = (): void => gone.abort();
  request.raw.socket.once('close', onClose);
  try {
    return await work(scratch.path, gone.signal);
  } finally {
    request.raw.socket.off('close', onClose);
    await scratch.remove();
  }
}
