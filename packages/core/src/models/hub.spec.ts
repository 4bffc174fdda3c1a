import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { downloadFromHub, parseHubReference } from './hub';

const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const WEIGHTS = Buffer.alloc(300_000, 'weights ');

/** A hub with one model; large files are redirected to another path, as the real one does. */
class FakeHub {
  readonly files = new Map<string, Buffer>([
    ['config.json', Buffer.from('{"model_type":"bert"}')],
    ['1_Pooling/config.json', Buffer.from('{"pooling_mode_mean_tokens":true}')],
    ['tokenizer.json', Buffer.from('{}')],
    ['model.safetensors', WEIGHTS],
    ['evil.py', Buffer.from('import os')],
  ]);
  readonly requests: string[] = [];
  /** Bytes after which the next transfers of weights break off. */
  breakAfter: number[] = [];
  failures = 0;
  checksum = (content: Buffer): string => createHash('sha256').update(content).digest('hex');
  private readonly server = createServer((request, response) => this.answer(request, response));

  async start(): Promise<string> {
    await new Promise<void>((resolve) => {
      this.server.listen(0, '127.0.0.1', resolve);
    });
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => {
      this.server.close(resolve);
    });
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url!;
    this.requests.push(`${request.method} ${url}${request.headers.range ? ` ${request.headers.range}` : ''}`);
    const name = url.replace(/^\/(owner\/model\/resolve\/[^/]+|cdn)\//, '');
    const content = this.files.get(name);
    if (this.failures-- > 0) response.writeHead(503).end();
    else if (!content || !/^\/(owner\/model\/resolve\/(main|[0-9a-f]{40})|cdn)\//.test(url))
      response.writeHead(404).end();
    else if (url.startsWith('/cdn/')) this.send(request, response, content);
    else if (name.endsWith('.safetensors')) {
      const headers = {
        'x-linked-size': content.length,
        'x-linked-etag': `"${this.checksum(content)}"`,
        'x-repo-commit': COMMIT,
      };
      response.writeHead(302, { ...headers, location: `/cdn/${name}` }).end();
    } else {
      const blob = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
      response.writeHead(200, { etag: `"${blob}"`, 'content-length': content.length, 'x-repo-commit': COMMIT });
      response.end(request.method === 'HEAD' ? undefined : content);
    }
  }

  private send(request: IncomingMessage, response: ServerResponse, content: Buffer): void {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const limit = this.breakAfter.shift();
    response.writeHead(start > 0 ? 206 : 200, { 'content-length': content.length - start });
    if (limit === undefined) response.end(content.subarray(start));
    else response.write(content.subarray(start, start + limit), () => setTimeout(() => response.destroy(), 20));
  }
}

describe('downloadFromHub', () => {
  let hub: FakeHub;
  let baseUrl: string;
  let dir: string;
  const reference = parseHubReference('hf:owner/model');
  const download = (options = {}) => downloadFromHub(reference, dir, { baseUrl, retryDelayMs: 1, ...options });

  beforeEach(async () => {
    hub = new FakeHub();
    baseUrl = await hub.start();
    dir = mkdtempSync(join(tmpdir(), 'hub-'));
  });
  afterEach(async () => {
    await hub.stop();
    rmSync(dir, { recursive: true });
  });

  it('fetches known files only, all at the commit of the first', async () => {
    const received: number[] = [];
    const result = await download({ onProgress: (p: { receivedBytes: number }) => received.push(p.receivedBytes) });
    expect(result).toEqual({
      commit: COMMIT,
      files: ['config.json', '1_Pooling/config.json', 'tokenizer.json', 'model.safetensors'],
    });
    expect(readFileSync(join(dir, 'model.safetensors')).equals(WEIGHTS)).toBe(true);
    expect(received.at(-1)).toBe(WEIGHTS.length);
    expect(hub.requests.some((request) => request.includes('evil') || request.includes('.bin'))).toBe(false);
    expect(hub.requests.slice(1).every((request) => request.includes(COMMIT) || request.includes('/cdn/'))).toBe(true);
  });

  it('goes on where a broken transfer stopped, within a call and after one', async () => {
    hub.breakAfter = [100_000, 50_000];
    await download();
    expect(hub.requests.filter((request) => request.startsWith('GET /cdn/'))).toEqual([
      'GET /cdn/model.safetensors',
      expect.stringMatching(/bytes=\d+-$/),
      expect.stringMatching(/bytes=\d+-$/),
    ]);
    rmSync(join(dir, 'model.safetensors'));
    hub.breakAfter = [200_000];
    await expect(download({ attempts: 1 })).rejects.toMatchObject({ code: 'hub.unavailable', kind: 'unavailable' });
    await download();
    expect(hub.requests.at(-1)).toMatch(/bytes=\d+-$/);
    expect(readFileSync(join(dir, 'model.safetensors')).equals(WEIGHTS)).toBe(true);
  });

  it('does not fetch again what is complete', async () => {
    await download();
    const before = hub.requests.length;
    await download();
    expect(hub.requests.slice(before).every((request) => request.startsWith('HEAD'))).toBe(true);
  });

  it('refuses bytes with a wrong checksum, leaving nothing behind', async () => {
    hub.checksum = () => 'a'.repeat(64);
    await expect(download()).rejects.toMatchObject({ code: 'hub.checksum' });
    expect(existsSync(join(dir, 'model.safetensors'))).toBe(false);
    expect(existsSync(join(dir, 'model.safetensors.partial'))).toBe(false);
  });

  it('replaces a damaged file of the right size', async () => {
    writeFileSync(join(dir, 'model.safetensors'), Buffer.alloc(WEIGHTS.length));
    await download();
    expect(readFileSync(join(dir, 'model.safetensors')).equals(WEIGHTS)).toBe(true);
  });

  it('reads shards by their index, and none outside the folder', async () => {
    hub.files.delete('model.safetensors');
    hub.files.set('model-00001-of-00001.safetensors', WEIGHTS);
    hub.files.set(
      'model.safetensors.index.json',
      Buffer.from('{"weight_map":{"a":"model-00001-of-00001.safetensors"}}'),
    );
    expect((await download()).files).toContain('model-00001-of-00001.safetensors');
    hub.files.set('model.safetensors.index.json', Buffer.from('{"weight_map":{"a":"../up.safetensors"}}'));
    await expect(download()).rejects.toMatchObject({ code: 'checkpoint.index' });
  });

  it('repeats after a server error, and gives up in the end', async () => {
    hub.failures = 2;
    await download();
    hub.failures = 100;
    await expect(download()).rejects.toMatchObject({ code: 'hub.unavailable' });
  });

  it('says what is missing, too large or cancelled', async () => {
    await expect(downloadFromHub(parseHubReference('hf:owner/other'), dir, { baseUrl })).rejects.toMatchObject({
      code: 'hub.not-found',
    });
    await expect(download({ maxFileBytes: 1000 })).rejects.toMatchObject({ code: 'hub.too-large', kind: 'limit' });
    await expect(download({ signal: AbortSignal.abort() })).rejects.toMatchObject({ kind: 'cancelled' });
  });

  it.each(['owner/model', 'hf:../x', 'hf:a/b/c', 'hf:a/..', 'hf:a/b@../x', 'hf:'])(
    'refuses the reference %s',
    (text) => {
      expect(() => parseHubReference(text)).toThrow(expect.objectContaining({ code: 'hub.reference' }));
    },
  );
});
