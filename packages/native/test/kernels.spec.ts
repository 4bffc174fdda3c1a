/** Builds the kernels' test program with AddressSanitizer and UndefinedBehaviorSanitizer, and runs its parts. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = join(__dirname, '..', 'native', 'test');

function hasCompiler(): boolean {
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const describeCompiled = hasCompiler() ? describe : describe.skip;

describeCompiled('kernels under sanitizers (needs a C compiler)', () => {
  const output = mkdtempSync(join(tmpdir(), 'modelpress-kernels-'));
  const program = join(output, 'test');

  beforeAll(() => {
    execFileSync('sh', [join(folder, 'build.sh'), program], { stdio: 'inherit' });
  }, 240_000);
  afterAll(() => rmSync(output, { recursive: true, force: true }));

  it.each(['gemm', 'elementwise', 'rows', 'sparse', 'slabs'])(
    '%s agrees with float64 and stays inside its memory',
    (part) => {
      expect(execFileSync(program, [part], { encoding: 'utf8', timeout: 120_000 })).toContain(`${part}: ok`);
    },
  );
});
