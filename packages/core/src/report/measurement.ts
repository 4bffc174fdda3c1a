import { z } from 'zod';

/** Where a figure was measured: a speed without its machine means nothing. */
export const environmentSchema = z
  .object({
    cpu: z.string(),
    cores: z.int(),
    /** Instruction sets that matter here, e.g. avx512_vnni, amx_int8. */
    cpuFlags: z.array(z.string()),
    memoryBytes: z.int(),
    os: z.string(),
    node: z.string(),
    runtime: z.string(),
    device: z.string(),
    threads: z.int(),
  })
  .meta({ id: 'Environment' });
export type Environment = z.infer<typeof environmentSchema>;

/** One figure. */
export const measurementSchema = z
  .object({
    /** Dotted name: `accuracy`, `macroF1`, `latency.p50`, `bytes.model`, ... */
    metric: z.string(),
    value: z.number(),
    /** `ratio`, `ms`, `bytes`, `texts/s`, `flops`, `joule`, `count`. */
    unit: z.string(),
    /** Which model it belongs to. */
    subject: z.enum(['candidate', 'baseline', 'comparison']),
    /** What it depends on: `{ split: 'test' }`, `{ batch: 8, sequence: 128, threads: 1 }`. */
    context: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
    /** 95 % confidence interval, where one was computed. */
    interval: z.tuple([z.number(), z.number()]).optional(),
    environment: environmentSchema.optional(),
  })
  .meta({ id: 'Measurement' });
export type Measurement = z.infer<typeof measurementSchema>;

/** A part of a stage's report, rendered by the HTML report. */
export const reportSectionSchema = z
  .discriminatedUnion('kind', [
    z.object({ kind: z.literal('text'), title: z.string(), text: z.string() }),
    z.object({
      kind: z.literal('table'),
      title: z.string(),
      columns: z.array(z.string()),
      rows: z.array(z.array(z.union([z.string(), z.number(), z.null()]))),
      note: z.string().optional(),
    }),
    z.object({
      kind: z.literal('curve'),
      title: z.string(),
      x: z.string(),
      y: z.string(),
      series: z.array(z.object({ name: z.string(), points: z.array(z.tuple([z.number(), z.number()])) })),
      /** Vertical lines, e.g. where a phase ends. */
      marks: z.array(z.object({ x: z.number(), label: z.string() })).default([]),
    }),
    z.object({
      kind: z.literal('heatmap'),
      title: z.string(),
      rows: z.array(z.string()),
      columns: z.array(z.string()),
      /** values[row][column]; null where there is none. */
      values: z.array(z.array(z.number().nullable())),
      unit: z.string(),
    }),
  ])
  .meta({ id: 'ReportSection' });
export type ReportSection = z.infer<typeof reportSectionSchema>;
