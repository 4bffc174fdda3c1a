/** @file Writes openapi.json at the repository root: `npm run openapi`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createApi } from '../app';
import { stubService } from '../testing/stub-service';
import { openApiDocument } from './document';

/** The checked-in document; a test compares it with the routes. */
export const OPENAPI_FILE = join(__dirname, '..', '..', '..', '..', 'openapi.json');

export async function openApiText(): Promise<string> {
  // The document follows from the routes alone: the service is never asked.
  const app = await createApi(stubService(), { logLevel: 'silent' });
  try {
    return `${JSON.stringify(openApiDocument(app), null, 2)}\n`;
  } finally {
    await app.close();
  }
}

export const writeOpenApi = async (): Promise<void> => writeFileSync(OPENAPI_FILE, await openApiText());
