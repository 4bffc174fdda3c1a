import { STAGES } from '@modelpress/core';
import { createLogger, loadConfig, openService } from '@modelpress/service';
import { createApi } from './app';
import { apiConfigOf } from './config';

/** Serves until SIGTERM or SIGINT. The process ends with code 1 if it cannot start. */
export async function serve(): Promise<void> {
  await start().catch((error: unknown) => {
    createLogger('api', 'info').fatal({ err: error }, 'The API could not start.');
    process.exit(1);
  });
}

async function start(): Promise<void> {
  const config = loadConfig();
  const logger = createLogger('api', config.logLevel);
  const service = await openService(config, STAGES);
  const api = await createApi(service, apiConfigOf(config));
  await api.listen(config.api.port, config.api.host);
  logger.info({ url: await api.getUrl() }, 'The API listens.');
  let stopping = false;
  const stop = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    await api.close();
    await service.close();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop());
}
