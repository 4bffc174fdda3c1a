/** @file Request bodies that are no plain JSON, for the API's documentation. */
import type { ApiBodyOptions } from '@nestjs/swagger';
import { z } from 'zod';
import { jsonSchemaOf } from './document';

type FormSchema = Extract<Extract<ApiBodyOptions, { schema: unknown }>['schema'], { properties?: unknown }>;

/** A multipart form: the options as fields of their own or together as `options`, and files. */
export function uploadBody(options: z.ZodObject, files: Readonly<Record<string, string>>): ApiBodyOptions {
  // Without its id the schema stands here, not as a component: it is one form.
  const { properties, required } = jsonSchemaOf(z.object(options.shape), 'input').schema as FormSchema;
  const fileFields = Object.entries(files).map(([field, description]) => [
    field,
    { type: 'array', items: { type: 'string', format: 'binary' }, description },
  ]);
  return {
    schema: {
      type: 'object',
      properties: { ...properties, ...Object.fromEntries(fileFields) },
      ...(required ? { required } : {}),
    },
  };
}
