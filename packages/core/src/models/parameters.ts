/** @file Which parameters a configuration has. */
import type { ComponentEntry } from '../bundle/manifest';
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

/** Every parameter that the builder asks for, in order, and what it is for; found by building with zeros, all in one place. */
export function blueprint(
  config: TransformerConfig,
  head: Head,
): { readonly specs: readonly ParameterSpec[]; readonly components: readonly ComponentEntry[] } {
  const specs: ParameterSpec[] = [];
  let blank = new Float32Array();
  const { components } = buildTransformer(config, head, (name, dims, role) => {
    specs.push({ name, dims, role });
    const size = sizeOf(dims);
    if (size > blank.length) blank = new Float32Array(size);
    return Tensor.float32(dims, blank.subarray(0, size));
  });
  return { specs, components };
}

export const parameterSpecs = (config: TransformerConfig, head: Head): readonly ParameterSpec[] =>
  blueprint(config, head).specs;

export const zeros = (dims: readonly number[]): Tensor<'float32'> =>
  Tensor.float32(dims, new Float32Array(sizeOf(dims)));
