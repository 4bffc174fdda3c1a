/** @file Whether the native addon is compiled here; `npm test` compiles it where there is a C compiler. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const addon = join(__dirname, '..', 'packages', 'native', 'build', 'modelpress.node');

const MISSING = existsSync(addon) ? undefined : 'needs the compiled addon';

/**
 * `describe` where the addon is compiled; otherwise the tests are shown as skipped, with the reason in the name.
 * @param obstacle another reason why they cannot run here
 */
export const describeWithNative = (name: string, body: () => void, obstacle: string | undefined = MISSING): void =>
  obstacle === undefined
    ? describe(name, body)
    : describe.skip(`${name} (${obstacle})`, () => it('runs natively', () => undefined));
