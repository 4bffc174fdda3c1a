/** @file Times of single operators, as ONNX Runtime's own profiler measures them. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { z } from 'zod';
import type { HostTensor } from '../runtime';
import { compileError } from './errors';
import { OrtExecutable } from './session';

/** One execution of one operator of the optimised graph. */
export interface NodeTime {
  readonly op: string;
  readonly microseconds: number;
  /** Dimensions of its inputs, as far as they are tensors. */
  readonly inputs: readonly (readonly number[])[];
}

const eventSchema = z.looseObject({
  cat: z.string(),
  name: z.string(),
  dur: z.number(),
  args: z
    .looseObject({
      op_name: z.string().optional(),
      input_type_shape: z.array(z.record(z.string(), z.array(z.number()))).optional(),
    })
    .default({}),
});

/** A model that is run under the profiler. */
export class ProfiledModel {
  private readonly executable: OrtExecutable;

  private constructor(
    private readonly session: ort.InferenceSession,
    private readonly folder: string,
  ) {
    this.executable = new OrtExecutable(session);
  }

  static async open(path: string, threads: number): Promise<ProfiledModel> {
    const folder = await mkdtemp(join(tmpdir(), 'modelpress-profile-'));
    try {
      const session = await ort.InferenceSession.create(path, {
        intraOpNumThreads: threads,
        executionMode: 'sequential',
        enableProfiling: true,
        profileFilePrefix: join(folder, 'ort'),
        extra: { session: { intra_op: { allow_spinning: '0' } } },
      });
      return new ProfiledModel(session, folder);
    } catch (error) {
      await rm(folder, { recursive: true });
      throw compileError(error);
    }
  }

  async run(feeds: Readonly<Record<string, HostTensor>>): Promise<void> {
    await this.executable.run(feeds);
  }

  /** Ends the session; the times of every operator of every run, in their order. */
  async finish(): Promise<NodeTime[]> {
    try {
      this.session.endProfiling();
      const [file] = await readdir(this.folder);
      const events = z.array(z.unknown()).parse(JSON.parse(await readFile(join(this.folder, file), 'utf8')));
      return events.flatMap((raw) => {
        const event = eventSchema.safeParse(raw);
        const op = event.data?.args.op_name;
        if (!event.success || event.data.cat !== 'Node' || !event.data.name.endsWith('_kernel_time') || !op) return [];
        const shapes = (event.data.args.input_type_shape ?? []).flatMap((typed) => Object.values(typed));
        return [{ op, microseconds: event.data.dur, inputs: shapes }];
      });
    } finally {
      await this.executable.release();
      await rm(this.folder, { recursive: true });
    }
  }
}
