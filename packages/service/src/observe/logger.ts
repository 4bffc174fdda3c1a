import { pino, type DestinationStream, type Logger } from 'pino';
import type { Config } from '../config/config';

export type { Logger };

/** Fields whose value is never written, at any depth that our log lines have. */
const SECRET_FIELDS = [
  'password',
  'secret',
  'authorization',
  'apiKey',
  'accessKeyId',
  'secretAccessKey',
  'token',
  'url',
];

/** JSON lines on standard output, or into `sink`. */
export function createLogger(name: string, level: Config['logLevel'], sink?: DestinationStream): Logger {
  const options = {
    name,
    level,
    redact: {
      paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
      censor: (value: unknown) => (typeof value === 'string' ? redactUrl(value) : '[secret]'),
    },
  };
  return sink === undefined ? pino(options) : pino(options, sink);
}

/** Keeps where an address leads and drops who may go there; any other text goes as a whole. */
export function redactUrl(text: string): string {
  if (!URL.canParse(text)) return '[secret]';
  const url = new URL(text);
  return url.host === '' ? '[secret]' : `${url.protocol}//${url.host}${url.pathname}`;
}
