/** @file Access to the reference data beside the repository. CI has it; a plain clone does not. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..', '..', 'shared');

/** Path inside the folder `shared` that lies beside the repository. */
export const sharedPath = (...parts: string[]): string => join(root, ...parts);

/** `describe` where the reference data is present; otherwise one test shown as skipped, with the reason in its name. */
export const describeWithShared = (name: string, body: () => void): void => {
  if (existsSync(root)) describe(name, body);
  else it.skip(`${name} (needs ../shared)`, () => undefined);
};
