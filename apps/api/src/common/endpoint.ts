/** @file One decorator beside each route: who may call it, what it answers, and its text in the API's documentation. */
import { applyDecorators, HttpCode, SetMetadata } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiProduces, ApiResponse } from '@nestjs/swagger';
import type { z } from 'zod';
import { ACCESS_METADATA, type Access } from './access';
import { problemSchema } from './problem';

interface EndpointOptions {
  readonly summary: string;
  readonly description?: string;
  readonly access: Access;
  /** Default 200. */
  readonly status?: 200 | 201 | 204;
  /** Schema of the JSON answer. */
  readonly response?: z.ZodType;
  /** Media type of an answer that is not JSON. */
  readonly produces?: string;
}

const STATUS_TEXT = { 200: 'Done.', 201: 'Made.', 204: 'Done; no content.' } as const;

export function Endpoint(options: EndpointOptions): MethodDecorator {
  const { summary, description, access, status = 200, response, produces } = options;
  const answer = { status, description: STATUS_TEXT[status] };
  const binary = { schema: { type: 'string', format: 'binary' } };
  return applyDecorators(
    SetMetadata(ACCESS_METADATA, access),
    HttpCode(status),
    ApiOperation({ summary, description: [description, accessText(access)].filter((text) => text).join(' ') }),
    ApiResponse({ ...answer, ...(response ? { standardSchema: response } : {}), ...(produces ? binary : {}) }),
    ApiResponse({ status: 'default', description: 'Refused; see `code` and `errors`.', standardSchema: problemSchema }),
    ...(produces ? [ApiProduces(produces)] : []),
    ...(access === 'public' ? [] : [ApiBearerAuth()]),
  );
}

function accessText(access: Access): string {
  if (access === 'public') return 'Needs no key.';
  return access === 'operator' ? "Needs the server's operator key." : `Needs the role ${access}.`;
}
