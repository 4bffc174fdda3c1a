import { environmentSchema, SECRET_VARIABLES, VARIABLES, type Variable } from './variables';

/** Defaults that depend on the machine are described in words, not by this machine's figure. */
const MACHINE_DEFAULTS: readonly Variable[] = ['MODELPRESS_WORKER_THREADS', 'MODELPRESS_WORKER_MEMORY_BYTES'];

/** The table of docs/configuration.md, in Markdown. */
export function configurationTable(): string {
  const rows = VARIABLES.map((name) => {
    const schema = environmentSchema.shape[name];
    const parsed = schema.safeParse(undefined);
    const known = parsed.success && parsed.data !== undefined && !MACHINE_DEFAULTS.includes(name);
    const fallback = known ? `\`${String(parsed.data)}\`` : parsed.success ? '' : 'required';
    const description = `${schema.description ?? ''}${SECRET_VARIABLES.includes(name) ? ' Secret.' : ''}`;
    return `| \`${name}\` | ${fallback} | ${description} |`;
  });
  return ['| variable | default | meaning |', '|---|---|---|', ...rows].join('\n');
}
