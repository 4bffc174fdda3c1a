import { ModelpressError, type ErrorDetails } from '@modelpress/core';

export const notFound = (what: string, id: string): ModelpressError =>
  new ModelpressError('not-found', `${what}.not-found`, `There is no ${what} ${id}.`, { id });

export const conflict = (code: string, message: string, details?: ErrorDetails): ModelpressError =>
  new ModelpressError('conflict', code, message, details);
