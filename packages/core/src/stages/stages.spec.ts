import { STAGES, STAGE_TYPES, stageSchemas } from '.';

interface JsonSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema & { description?: string }>>;
  readonly additionalProperties?: boolean;
}

/** Objects of a schema that take unknown keys, and fields without a description, by path. */
function gaps(schema: JsonSchema, path: string): string[] {
  const open = schema.properties && schema.additionalProperties !== false ? [`${path}: takes unknown keys`] : [];
  const fields = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => [
    ...(field.description ? [] : [`${path}.${name}: no description`]),
    ...gaps(field, `${path}.${name}`),
  ]);
  return [...open, ...fields];
}

describe('stage registry', () => {
  it.each(STAGE_TYPES)('%s is filed under its type, describes every field and runs on its defaults', (type) => {
    const stage = STAGES[type];
    expect(stage.type).toBe(type);
    const description = stageSchemas().find((entry) => entry.type === type);
    expect(gaps(description?.schema ?? {}, type)).toEqual([]);
    expect(stage.schema.safeParse({ noSuchField: 1 }).success).toBe(false);
  });

  it('gives JSON that survives a round trip', () => {
    const described = stageSchemas();
    expect(JSON.parse(JSON.stringify(described))).toEqual(described);
    expect(described.map(({ type }) => type)).toEqual([...STAGE_TYPES]);
  });
});
