/**
 * @file Memory of the API process while a large model goes in and out through it: a made-up checkpoint is uploaded, its
 * archive downloaded. Starts the embedded stack in a temporary folder; needs a build.
 *
 *   node --require ./tools/register-typescript.cjs bench/api-memory.ts [GIGABYTES]
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, filesFromFolder } from '../packages/client/src';
import { startEmbedded } from '../packages/service/dist';

const HIDDEN = 512;
const CHUNK = Buffer.alloc(2 ** 24, 1);
const KEY = 'mp_bench_key_of_this_run';

/** A BERT checkpoint whose token table has this many bytes; everything else in it is small. */
async function writeCheckpoint(folder: string, bytes: number): Promise<void> {
  const vocabulary = Math.floor(bytes / HIDDEN / 4);
  const layer = 'bert.encoder.layer.0';
  const square = ['attention.self.query', 'attention.self.key', 'attention.self.value', 'attention.output.dense'];
  const norms = ['bert.embeddings.LayerNorm', `${layer}.attention.output.LayerNorm`, `${layer}.output.LayerNorm`];
  const shapes: Record<string, number[]> = {
    'bert.embeddings.word_embeddings.weight': [vocabulary, HIDDEN],
    'bert.embeddings.position_embeddings.weight': [64, HIDDEN],
    'bert.embeddings.token_type_embeddings.weight': [2, HIDDEN],
    ...Object.fromEntries(norms.flatMap((name) => [`${name}.weight`, `${name}.bias`].map((key) => [key, [HIDDEN]]))),
    ...Object.fromEntries(square.map((name) => [`${layer}.${name}.weight`, [HIDDEN, HIDDEN]])),
    ...Object.fromEntries(square.map((name) => [`${layer}.${name}.bias`, [HIDDEN]])),
    [`${layer}.intermediate.dense.weight`]: [HIDDEN, HIDDEN],
    [`${layer}.intermediate.dense.bias`]: [HIDDEN],
    [`${layer}.output.dense.weight`]: [HIDDEN, HIDDEN],
    [`${layer}.output.dense.bias`]: [HIDDEN],
    'bert.pooler.dense.weight': [HIDDEN, HIDDEN],
    'bert.pooler.dense.bias': [HIDDEN],
    'classifier.weight': [2, HIDDEN],
    'classifier.bias': [2],
  };
  let end = 0;
  const tensors = Object.entries(shapes).map(([name, shape]) => {
    const start = end;
    end += 4 * shape.reduce((product, size) => product * size, 1);
    return [name, { dtype: 'F32', shape, data_offsets: [start, end] }];
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(tensors)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.byteLength));
  const file = await open(join(folder, 'model.safetensors'), 'w');
  await file.write(Buffer.concat([length, header]));
  for (let left = end; left > 0; left -= CHUNK.byteLength) await file.write(CHUNK, 0, Math.min(left, CHUNK.byteLength));
  await file.close();
  const config = {
    architectures: ['BertForSequenceClassification'],
    model_type: 'bert',
    vocab_size: vocabulary,
    hidden_size: HIDDEN,
    num_hidden_layers: 1,
    num_attention_heads: 8,
    intermediate_size: HIDDEN,
    max_position_embeddings: 64,
    type_vocab_size: 2,
    hidden_act: 'gelu',
    id2label: { 0: 'a', 1: 'b' },
  };
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
}

/** Highest resident memory of a process so far, in MB. */
const peakOf = ({ pid }: ChildProcess): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1000;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

async function measure(api: ChildProcess, client: Client, folder: string): Promise<void> {
  console.log(`idle: ${peakOf(api).toFixed(0)} MB`);
  let started = performance.now();
  const seconds = (): string => `${((performance.now() - started) / 1000).toFixed(1)} s`;
  const model = await client.models.upload({ name: 'large' }, await filesFromFolder(folder));
  console.log(`upload of ${(model.bytes / 1e6).toFixed(0)} MB: ${seconds()}, peak ${peakOf(api).toFixed(0)} MB`);
  started = performance.now();
  const { body } = await client.models.archive(model.id);
  let bytes = 0;
  for await (const chunk of body) bytes += chunk.byteLength;
  console.log(`download of ${(bytes / 1e6).toFixed(0)} MB: ${seconds()}, peak ${peakOf(api).toFixed(0)} MB`);
}

async function main(gigabytes: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'modelpress-bench-'));
  const home = await mkdtemp(join(tmpdir(), 'modelpress-home-'));
  const embedded = await startEmbedded(home);
  const port = await freePort();
  const env = { ...process.env, ...embedded.environment, MODELPRESS_API_KEY: KEY, MODELPRESS_PORT: String(port) };
  const log = { MODELPRESS_LOG_LEVEL: 'error' };
  const api = fork(join(__dirname, '..', 'apps', 'api', 'dist', 'main.js'), { env: { ...env, ...log }, execArgv: [] });
  const client = new Client({ url: `http://127.0.0.1:${port}`, key: KEY, retries: 20 });
  try {
    await writeCheckpoint(folder, gigabytes * 1e9);
    await client.server.readiness();
    await measure(api, client, folder);
  } finally {
    if (api.exitCode === null) {
      api.kill('SIGTERM');
      await once(api, 'exit');
    }
    await embedded.stop();
    await Promise.all([folder, home].map((path) => rm(path, { recursive: true })));
  }
}

void main(Number(process.argv[2] ?? 2));
