/** @file Following a teacher layer by layer: hidden states and attention of a batch, compared token by token. */
import { join } from 'node:path';
import { MODEL_FILE } from '../bundle';
import type { Manifest } from '../bundle';
import { invalid } from '../errors';
import type { TaskLoss } from '../finetune/loss';
import { clone, Tensor } from '../graph';
import type { Model, Value } from '../graph';
import { GraphBuilder } from '../graph/builder';
import { findAnatomy } from '../models';
import type { AnatomyLayer } from '../models';
import { readModelFile } from '../onnx';
import { staticShape } from '../ops/shapes';
import { removeDeadCode } from '../passes';
import { ortRuntime } from '../runtime';
import type { HostTensor } from '../runtime';
import type { Batch } from '../text';
import { Random } from '../train/random';
import type { DistillConfig } from './config';

export type MatchConfig = DistillConfig['match'];

/** A student layer and the teacher layer that it follows. */
type LayerPair = readonly [student: number, teacher: number];

export interface Matching {
  /** The student with its compared values (hidden states projected to the teacher's width) as further outputs. */
  readonly model: Model;
  /** The loss plus what separates the layers. */
  withMatching(task: TaskLoss): TaskLoss;
  /** The teacher's values for a batch. */
  companion(batch: Batch): Promise<Record<string, HostTensor>>;
  /** The trained student without outputs and projections of matching. */
  strip(trained: Model): Model;
  release(): Promise<void>;
}

export interface MatchOptions extends MatchConfig {
  readonly threads: number;
  readonly seed: number;
  /** The teacher's layer of each student layer; default: spread evenly, the last on the last. */
  readonly layers?: readonly number[];
}

const PREFIX = 'match.';

/**
 * Prepares a student to follow the teacher of a bundle folder. Both must read the same tokens.
 * @throws invalid `distill.match` when the teacher reads an input that the student does not have; `detect.*`
 */
export async function matchLayers(
  student: { readonly model: Model; readonly manifest: Manifest },
  teacher: { readonly folder: string; readonly manifest: Manifest },
  options: MatchOptions,
): Promise<Matching> {
  const missing = teacher.manifest.inputs.find((name) => !student.manifest.inputs.includes(name));
  if (missing !== undefined) {
    throw invalid(
      'distill.match',
      `The teacher reads "${missing}", which a ${student.manifest.architecture} does not.`,
      {
        field: 'match',
      },
    );
  }
  const teacherModel = await readModelFile(join(teacher.folder, MODEL_FILE));
  const model = clone(student.model);
  const [own, other] = [findAnatomy(model.graph), findAnatomy(teacherModel.graph)];
  const pairs = own.layers.map((_, i): LayerPair => {
    return [i, options.layers?.[i] ?? Math.round(((i + 1) * other.layers.length) / own.layers.length) - 1];
  });
  const names: string[] = [];
  for (const [mine, theirs] of pairs) {
    const [layer, taught] = [own.layers[mine], other.layers[theirs]];
    if (options.hidden > 0) {
      const name = `${PREFIX}hidden.${mine}`;
      expose(model, projected(model, hiddenOf(layer), own.hidden, other.hidden, mine, options.seed), name);
      expose(teacherModel, hiddenOf(taught), name);
      names.push(name);
    }
    const [attention, taughtAttention] = [attentionOf(model, layer), attentionOf(teacherModel, taught)];
    if (options.attention > 0 && attention && taughtAttention) {
      const name = `${PREFIX}attention.${mine}`;
      expose(model, attention, name);
      expose(teacherModel, taughtAttention, name);
      names.push(name);
    }
  }
  const executable = await ortRuntime.compile(teacherModel, { threads: options.threads });
  return {
    model,
    withMatching: (task) => matchingLoss(task, names, options),
    async companion({ inputs, weights }) {
      const outputs = await executable.run(
        Object.fromEntries(teacher.manifest.inputs.map((name) => [name, inputs[name]])),
      );
      const taught = names.map((name) => [`${name}.teacher`, outputs[name]] as const);
      return { ...Object.fromEntries(taught), [`${PREFIX}tokens`]: tokensOf(inputs['attention_mask'], weights) };
    },
    strip(trained) {
      const kept = trained.graph.outputs.filter(({ name }) => !name.startsWith(PREFIX));
      trained.graph.outputs.splice(0, trained.graph.outputs.length, ...kept);
      removeDeadCode(trained);
      return trained;
    },
    release: () => executable.release(),
  };
}

/** Adds a value to the graph's outputs under a name. */
function expose(model: Model, value: Value, name: string): void {
  const build = new GraphBuilder(model);
  build.output(build.op('Identity', [value], {}, `${PREFIX}output`), name);
}

/** The residual stream after a layer, normalised where a norm reads it. */
function hiddenOf({ ffn, attention }: AnatomyLayer): Value {
  const residual = (ffn ?? attention)!.residual.output();
  return residual.consumers.find(({ opType }) => opType === 'LayerNormalization')?.output() ?? residual;
}

/** Attention averaged over heads, [batch, sequence, sequence]; undefined where no head looks. */
function attentionOf(model: Model, { attention }: AnatomyLayer): Value | undefined {
  const heads = attention?.groups.flatMap(({ probabilities }) => probabilities ?? []) ?? [];
  if (heads.length === 0) return undefined;
  const build = new GraphBuilder(model);
  const all = heads.length === 1 ? heads[0] : build.op('Concat', heads, { axis: 1 }, `${PREFIX}heads`);
  return build.op('ReduceMean', [all, build.int64s([1])], { keepdims: 0 }, `${PREFIX}attention`);
}

/** x P with a learned P where the widths differ. */
function projected(model: Model, x: Value, from: number, to: number, layer: number, seed: number): Value {
  if (from === to) return x;
  const random = new Random(seed + layer);
  const weights = Float32Array.from({ length: from * to }, () => random.normal() / Math.sqrt(from));
  const build = new GraphBuilder(model);
  const projection = build.parameter(`${PREFIX}projection.${layer}`, Tensor.float32([from, to], weights));
  return build.op('MatMul', [x, projection], {}, `${PREFIX}projected`);
}

/** 1 at tokens of real rows, float32 [batch, sequence]. */
function tokensOf(mask: HostTensor, weights: HostTensor): HostTensor {
  const [, sequence] = mask.dims;
  const data = Float32Array.from(mask.data as BigInt64Array, (bit, i) => {
    return Number(bit) * Number(weights.data[Math.floor(i / sequence)]);
  });
  return { dtype: 'float32', dims: mask.dims, data };
}

function matchingLoss(task: TaskLoss, names: readonly string[], options: MatchConfig): TaskLoss {
  return {
    training: (batch, rows) => task.training(batch, rows),
    loss(build, outputs) {
      let loss = task.loss(build, outputs);
      const [rows, sequence] = staticShape(outputs.get(names[0])!);
      const tokens = build.input(`${PREFIX}tokens`, 'float32', [rows, sequence]);
      for (const name of names) {
        const own = outputs.get(name)!;
        const taught = build.input(`${name}.teacher`, 'float32', staticShape(own));
        const isHidden = name.startsWith(`${PREFIX}hidden`);
        const weight = isHidden ? options.hidden : options.attention;
        const distance = !isHidden
          ? squared(build, own, taught, 'ReduceSum')
          : options.hiddenLoss === 'mse'
            ? squared(build, own, taught, 'ReduceMean')
            : cosineDistance(build, own, taught);
        const scaled = build.op('Mul', [meanOver(build, distance, tokens), build.scalar(weight / names.length)]);
        loss = build.op('Add', [loss, scaled]);
      }
      return loss;
    },
  };
}

const last = (build: GraphBuilder): Value => build.int64s([-1]);

/** Over the last axis: sum or mean of (a - b)^2. */
function squared(build: GraphBuilder, a: Value, b: Value, reduce: 'ReduceSum' | 'ReduceMean'): Value {
  const difference = build.op('Sub', [a, b]);
  return build.op(reduce, [build.op('Mul', [difference, difference]), last(build)], { keepdims: 0 });
}

/** Over the last axis: 1 - a.b / (|a| |b|). */
function cosineDistance(build: GraphBuilder, a: Value, b: Value): Value {
  const dot = (x: Value, y: Value): Value =>
    build.op('ReduceSum', [build.op('Mul', [x, y]), last(build)], { keepdims: 0 });
  const lengths = build.op('Sqrt', [build.op('Add', [build.op('Mul', [dot(a, a), dot(b, b)]), build.scalar(1e-12)])]);
  return build.op('Sub', [build.scalar(1), build.op('Div', [dot(a, b), lengths])]);
}

/** Sum of values at tokens over the number of tokens. */
function meanOver(build: GraphBuilder, values: Value, tokens: Value): Value {
  const sum = (value: Value): Value => build.op('ReduceSum', [value], { keepdims: 0 });
  return build.op('Div', [sum(build.op('Mul', [values, tokens])), sum(tokens)]);
}
