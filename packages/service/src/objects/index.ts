import type { Config } from '../config/config';
import { FolderStore } from './folder-store';
import type { ObjectStore } from './object-store';
import { S3Store } from './s3-store';

export * from './object-store';

/** The object store of a configuration. */
export async function openObjectStore(config: Config['objects']): Promise<ObjectStore> {
  return config.driver === 's3' ? new S3Store(config) : FolderStore.open(config.folder);
}
