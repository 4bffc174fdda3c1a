export * from './client';
export * from './error';
export type { WatchOptions } from './events';
export type { ClientOptions } from './http';
export type * from './types.generated';
export { fileFromPath, filesFromFolder, type UploadFile } from './upload';
