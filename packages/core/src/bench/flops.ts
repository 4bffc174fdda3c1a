/** @file Operations of one forward pass, counted on the graph. */
import { ModelpressError } from '../errors';
import { costOf } from '../graph/cost';
import { readModelFile } from '../onnx';
import { specialise } from '../passes';
import type { Shape } from './inputs';
import type { Subject } from './subject';

/**
 * FLOPs of one pass (a multiply-add counts as 2; an int8 operation like a float one), or undefined for a model with an
 * operator or a shape that cannot be counted.
 */
export async function countFlops(subject: Subject, { batch, sequence }: Shape): Promise<number | undefined> {
  const model = await readModelFile(subject.modelPath);
  const shapes = model.graph.inputs.map(({ name }) => [name, [batch, sequence]] as const);
  try {
    return costOf(specialise(model, Object.fromEntries(shapes))).flops;
  } catch (error) {
    if (error instanceof ModelpressError && error.kind === 'unsupported') return undefined;
    throw error;
  }
}
