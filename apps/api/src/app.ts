import multipart from '@fastify/multipart';
import type { Service } from '@modelpress/service';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { SwaggerModule } from '@nestjs/swagger';
import { ApiModule } from './api.module';
import { addHooks, requestId, verbAsSegment } from './common/hooks';
import { DEFAULT_API_CONFIG, type ApiConfig } from './config';
import { openApiDocument } from './openapi/document';

/** The API over a service, ready to listen. Closing it does not close the service. */
export async function createApi(service: Service, changes: Partial<ApiConfig> = {}): Promise<NestFastifyApplication> {
  const config = { ...DEFAULT_API_CONFIG, ...changes };
  const adapter = new FastifyAdapter({
    bodyLimit: config.maxBodyBytes,
    genReqId: requestId,
    rewriteUrl: verbAsSegment,
    // Open event streams would keep the server from stopping.
    forceCloseConnections: true,
    logger: config.logLevel === 'silent' ? false : { level: config.logLevel },
    multipart: false,
  });
  const app = await NestFactory.create<NestFastifyApplication>(ApiModule.with(service, config), adapter, {
    logger: config.logLevel === 'silent' ? false : ['error', 'warn'],
    abortOnError: false,
  });
  await app.register(multipart);
  addHooks(app.getHttpAdapter().getInstance());
  if (config.corsOrigins.length > 0)
    app.enableCors({ origin: [...config.corsOrigins], exposedHeaders: ['x-request-id', 'etag', 'retry-after'] });
  SwaggerModule.setup('docs', app, () => openApiDocument(app), { jsonDocumentUrl: 'openapi.json' });
  await app.init();
  return app;
}
