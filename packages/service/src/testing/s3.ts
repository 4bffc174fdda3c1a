/** @file A real S3-speaking server for a test file. */
import { createRequire } from 'node:module';
import { freePort } from '../embedded/port';

/** The part of s3rver that is used; it comes without types. */
type S3rver = new (options: {
  readonly port: number;
  readonly address: string;
  readonly silent: boolean;
  readonly directory: string;
  readonly configureBuckets: readonly { readonly name: string; readonly configs: readonly string[] }[];
}) => { run(): Promise<unknown>; close(): Promise<void> };

export interface TestS3 {
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  stop(): Promise<void>;
}

/** `folder`: where it keeps its objects, as files. */
export async function startTestS3(folder: string): Promise<TestS3> {
  const S3rver = createRequire(__filename)('s3rver') as S3rver;
  const port = await freePort();
  const bucket = 'bucket';
  const buckets = [{ name: bucket, configs: [] }];
  const options = { port, address: '127.0.0.1', silent: true, directory: folder, configureBuckets: buckets };
  const server = new S3rver(options);
  await server.run();
  return {
    endpoint: `http://127.0.0.1:${port}`,
    bucket,
    accessKeyId: 'S3RVER',
    secretAccessKey: 'S3RVER',
    stop: () => server.close(),
  };
}
