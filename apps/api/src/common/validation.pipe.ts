import { ModelpressError, throwIfIssues, zodFieldIssues } from '@modelpress/core';
import { Injectable, type ArgumentMetadata, type PipeTransform } from '@nestjs/common';
import { z } from 'zod';

const WHERE: Readonly<Record<ArgumentMetadata['type'], string>> = {
  body: 'The body',
  query: 'The query',
  param: 'The path',
  custom: 'The request',
};

/** Checks every argument that has a schema and keeps the paths of wrong fields. */
@Injectable()
export class ValidationPipe implements PipeTransform {
  transform(value: unknown, { schema, type }: ArgumentMetadata): unknown {
    if (schema === undefined) return value;
    if (!(schema instanceof z.ZodType))
      throw new ModelpressError('internal', 'internal.schema', 'Routes declare their arguments by zod schemas.');
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    const issues = zodFieldIssues(parsed.error).map((issue) =>
      issue.field === '' ? { ...issue, message: `${WHERE[type]}: ${issue.message}` } : issue,
    );
    throwIfIssues('request.invalid', issues);
    throw parsed.error;
  }
}
