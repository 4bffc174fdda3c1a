/** @file The import process: reads one request, answers, ends. */
import { ModelpressError } from '@modelpress/core';
import { importDatasetFiles, importModelFolder } from './import-files';
import type { ImportAnswer, ImportRequest } from './import-task';

const run = (request: ImportRequest): Promise<unknown> => {
  switch (request.kind) {
    case 'model':
      return importModelFolder(request.task);
    case 'dataset':
      return importDatasetFiles(request.task);
  }
};

process.once('message', (request: ImportRequest) => {
  const send = (answer: ImportAnswer): void => void process.send?.(answer, () => process.disconnect());
  run(request).then(
    (result) => send({ result }),
    (error: unknown) => send({ error: ModelpressError.from(error).toJSON() }),
  );
});
