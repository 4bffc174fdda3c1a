/** @file Access to the reference data beside the repository. CI has it; a plain clone does not. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..', '..', 'shared');

/** Path inside the folder `shared` that lies beside the repository. */
export const sharedPath = (...parts: string[]): string => join(root, ...parts);

/**
 * `describe` where the reference data is present; otherwise the tests are shown as skipped, with the reason in the name.
 * The body does not run then, so it may list files while it declares its tests.
 */
export const describeWithShared = (name: string, body: () => void): void =>
  existsSync(root)
    ? describe(name, body)
    : describe.skip(`${name} (needs ../shared)`, () => it('compares with the reference data', () => undefined));
