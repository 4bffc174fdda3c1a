/** @file The OpenAPI document, made from the routes' own decorators and schemas. */
import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { z } from 'zod';
import { datasetOptions, modelOptions } from '../uploads/options';
import { eventView } from '../views/results';

const DESCRIPTION = `Compress text transformers: send a model, a data set and a recipe; get back a smaller, faster ONNX
model with a report of what was measured.

Every answer that is not a success is an RFC 9457 problem with a stable \`code\` and, where a request was checked as a
whole, every wrong field under \`errors\`. Lists have one shape: \`items\` and \`next\`, the cursor of the following page.
A POST with an \`Idempotency-Key\` is done once.`;

type JsonSchema = Record<string, unknown>;

/** zod bounds every integer by what a double can hold; said of each it is noise. */
function withoutSafeBounds({ jsonSchema }: { jsonSchema: JsonSchema }): void {
  if (jsonSchema['minimum'] === Number.MIN_SAFE_INTEGER) delete jsonSchema['minimum'];
  if (jsonSchema['maximum'] === Number.MAX_SAFE_INTEGER) delete jsonSchema['maximum'];
}

/** JSON Schema as the document has it; what a schema refers to comes with it. */
export function jsonSchemaOf(
  schema: z.ZodType,
  io: 'input' | 'output',
): { schema: JsonSchema; components: Record<string, JsonSchema> } {
  const override = withoutSafeBounds;
  const { $schema: _, $defs = {}, ...root } = z.toJSONSchema(schema, { io, unrepresentable: 'any', override });
  return { schema: root, components: $defs };
}

/** Schemas with an id become components, named after it; an input that differs from the answer gets `Input` behind it. */
class Components {
  private readonly answers = new Map<string, string>();

  convert(schema: unknown, io: 'input' | 'output'): ReturnType<typeof jsonSchemaOf> | undefined {
    if (!(schema instanceof z.ZodType)) return undefined;
    const { schema: root, components } = jsonSchemaOf(schema, io);
    const names = new Map(Object.entries(components).map(([id, definition]) => [id, this.nameOf(id, definition, io)]));
    const rename = (value: JsonSchema): JsonSchema => renameReferences(value, names) as JsonSchema;
    const renamed = Object.entries(components).map(([id, definition]) => [names.get(id) ?? id, rename(definition)]);
    return { schema: rename(root), components: Object.fromEntries(renamed) };
  }

  private nameOf(id: string, definition: JsonSchema, io: 'input' | 'output'): string {
    const text = JSON.stringify(definition);
    if (io === 'output') this.answers.set(id, text);
    const answer = this.answers.get(id);
    return io === 'input' && answer !== undefined && answer !== text ? `${id}Input` : id;
  }
}

function renameReferences(value: unknown, names: ReadonlyMap<string, string>): unknown {
  if (Array.isArray(value)) return value.map((item) => renameReferences(item, names));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      if (key !== '$ref' || typeof inner !== 'string') return [key, renameReferences(inner, names)];
      const id = inner.replace('#/$defs/', '');
      return [key, `#/components/schemas/${names.get(id) ?? id}`];
    }),
  );
}

export function openApiDocument(app: INestApplication): OpenAPIObject {
  const base = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('modelpress')
    .setDescription(DESCRIPTION)
    .setVersion('1')
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'An API key.' })
    .build();
  const components = new Components();
  const create = (): OpenAPIObject =>
    SwaggerModule.createDocument(app, base, {
      operationIdFactory: (controller, method) => `${controller.replace(/Controller$/, '').toLowerCase()}_${method}`,
      standardSchemaConverter: (schema, { schemaType }) => components.convert(schema, schemaType),
    });
  // Whether an input needs a name of its own is known once all answers have been seen.
  create();
  const document = create();
  const schemas = { ...document.components?.schemas };
  // Sent as a stream or as a form, so no route's JSON refers to them.
  for (const [schema, io] of [
    [eventView, 'output'],
    [modelOptions, 'input'],
    [datasetOptions, 'input'],
  ] as const)
    Object.assign(schemas, components.convert(schema, io)?.components);
  return { ...document, components: { ...document.components, schemas } };
}
