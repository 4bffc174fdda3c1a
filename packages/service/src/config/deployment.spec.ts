import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { QUEUES } from '@modelpress/core';
import { parse, parseAllDocuments } from 'yaml';
import { VARIABLES } from './variables';

const root = join(__dirname, '..', '..', '..', '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Service {
  readonly command?: readonly string[];
  readonly profiles?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, unknown>>;
}

const compose = parse(read('docker-compose.yml'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};

describe.each(['docker-compose.yml', 'deploy/kubernetes/modelpress.yaml', 'Dockerfile', 'Dockerfile.gpu'])(
  '%s',
  (file) => {
    it('names only variables that exist', () => {
      const named = new Set(read(file).match(/MODELPRESS_[A-Z0-9_]*[A-Z0-9]/g));
      expect([...named].filter((name) => !VARIABLES.some((known) => known === name))).toEqual([]);
    });
  },
);

describe('docker-compose.yml', () => {
  it('has the API and a worker of every queue in each profile', () => {
    for (const profile of ['cpu', 'gpu']) {
      const names = Object.keys(compose.services).filter((name) => compose.services[name]?.profiles?.includes(profile));
      const prefix = profile === 'gpu' ? 'gpu-' : '';
      expect(new Set(names)).toEqual(new Set(['api', ...QUEUES.map((queue) => `${prefix}worker-${queue}`)]));
    }
  });

  it('starts apps that exist', () => {
    const entries = Object.values(compose.services).flatMap(({ command = [] }) =>
      command.filter((word) => word.startsWith('apps/')),
    );
    expect(entries).toHaveLength(2 * QUEUES.length);
    for (const entry of entries) {
      expect(existsSync(join(root, entry.replace('/dist/', '/src/').replace('.js', '.ts')))).toBe(true);
    }
  });

  it('waits only for services that it has', () => {
    const needed = Object.values(compose.services).flatMap(({ depends_on: needs = {} }) => Object.keys(needs));
    expect(needed.filter((name) => !(name in compose.services))).toEqual([]);
  });
});

describe('deploy/kubernetes', () => {
  it('is YAML of named objects', () => {
    const documents = parseAllDocuments(read('deploy/kubernetes/modelpress.yaml'));
    expect(documents.flatMap((document) => ('errors' in document ? document.errors : []))).toEqual([]);
    for (const document of documents) {
      expect(document.toJS()).toMatchObject({
        apiVersion: expect.any(String),
        kind: expect.any(String),
        metadata: { name: expect.stringMatching(/^modelpress/) },
      });
    }
  });
});
