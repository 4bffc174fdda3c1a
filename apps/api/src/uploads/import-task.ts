/** @file What the API asks of its import process, and what comes back. */
import type { DatasetInfo, Manifest, SerializedError, Split } from '@modelpress/core';
import type { DatasetOptions, ModelOptions } from './options';

export interface ImportTasks {
  readonly model: {
    readonly task: { readonly source: string; readonly output: string; readonly options: Omit<ModelOptions, 'sha256'> };
    readonly result: { readonly manifest: Manifest; readonly warnings: readonly string[] };
  };
  readonly dataset: {
    readonly task: {
      readonly files: readonly { readonly path: string; readonly name: string; readonly split?: Split }[];
      readonly output: string;
      readonly options: Omit<DatasetOptions, 'sha256'>;
    };
    readonly result: { readonly info: DatasetInfo };
  };
}
export type ImportKind = keyof ImportTasks;

export type ImportRequest = {
  [K in ImportKind]: { readonly kind: K; readonly task: ImportTasks[K]['task'] };
}[ImportKind];

export type ImportAnswer = { readonly result: unknown } | { readonly error: SerializedError };
