import type { Manifest } from '../bundle/manifest';
import type { Issue } from '../stages/stage';

/** A DAN runs from a file of its own, of which only the numbers' precision can change once it is made. */
export function danIssues({ architecture, name }: Manifest): Issue[] {
  if (architecture !== 'dan') return [];
  const message = `"${name}" is a DAN: once distilled it can be quantized, evaluated and measured, but not trained or rewritten.`;
  return [{ path: '', code: 'dan', message }];
}
