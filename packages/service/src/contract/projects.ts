/** @file Projects, their keys, and who calls. */
import type { Role } from '../state/states';

export interface ProjectView {
  readonly id: string;
  readonly name: string;
  readonly maxConcurrentRuns: number | null;
  readonly retentionDays: number | null;
  readonly createdAt: Date;
}

export interface KeyView {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly prefix: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
}

/** Who makes a request. */
export interface Caller {
  readonly projectId: string;
  readonly keyId: string;
  readonly role: Role;
}

export interface Projects {
  create(input: {
    name: string;
    maxConcurrentRuns?: number | null;
    retentionDays?: number | null;
  }): Promise<ProjectView>;
  get(projectId: string): Promise<ProjectView>;
  list(): Promise<readonly ProjectView[]>;
  update(
    projectId: string,
    change: { name?: string; maxConcurrentRuns?: number | null; retentionDays?: number | null },
  ): Promise<ProjectView>;
  /** The project of this name, made if it is missing: the embedded stack's `default`. */
  ensure(name: string): Promise<ProjectView>;
}

export interface Keys {
  /** `secret` is shown once and kept only as a hash. */
  create(projectId: string, input: { name: string; role: Role }): Promise<KeyView & { readonly secret: string }>;
  list(projectId: string): Promise<readonly KeyView[]>;
  revoke(projectId: string, keyId: string): Promise<void>;
  /** @throws ModelpressError `unauthorized` for an unknown or revoked key. */
  authenticate(secret: string): Promise<Caller>;
  /** Makes this very key valid for the project (embedded stack, tests); does nothing if it already is. */
  ensure(projectId: string, input: { name: string; role: Role; secret: string }): Promise<void>;
}
