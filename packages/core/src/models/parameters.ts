/** @file Which parameters a configuration has. */
import { sizeOf, Tensor } from '../graph';
import type { Head, TransformerConfig } from './config';
import { buildTransformer } from './transformer';
import type { WeightRole } from './weights';

export interface ParameterSpec {
  readonly name: string;
  /** In the graph's layout: matrices [in, out]. */
  readonly dims: readonly number[];
  readonly role: WeightRole;
}

/** Every parameter that the builder asks for, in order, found by building with zeros. */
export function parameterSpecs(config: TransformerConfig, head: Head): ParameterSpec[] {
  const specs: ParameterSpec[] = [];
  buildTransformer(config, head, (name, dims, role) => {
    specs.push({ name, dims, role });
    return Tensor.float32(dims, new Float32Array(sizeOf(dims)));
  });
  return specs;
}
