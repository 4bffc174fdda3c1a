export { createApi } from './app';
export { apiConfigOf, DEFAULT_API_CONFIG, type ApiConfig } from './config';
export { openApiDocument } from './openapi/document';
