/** @file Weights of a checkpoint for a builder: names matched, layouts turned, missing heads made fresh. */
import { invalid } from '../errors';
import type { Tensor } from '../graph';
import type { Checkpoint } from './checkpoint';
import type { Head, TransformerConfig } from './config';
import { toFloat32 } from './half';
import {
  CLASSIFIER,
  cutPart,
  FUSED_PARTS,
  isHeadParameter,
  isRedundant,
  spellings,
  storedAs,
  transpose,
} from './huggingface-names';
import { parameterSpecs } from './parameters';
import type { ParameterSpec } from './parameters';
import { freshWeights } from './weights';
import type { WeightSource } from './weights';

/** A source that reads from the checkpoint, and what a user should know about the match. */
export interface MatchedWeights {
  readonly source: WeightSource;
  readonly warnings: readonly string[];
}

const LISTED = 5;
const list = (names: readonly string[]): string =>
  names.slice(0, LISTED).join(', ') + (names.length > LISTED ? ` and ${names.length - LISTED} more` : '');

/**
 * Matches the parameters of a model with the tensors of a checkpoint.
 * @param resizable whether the classifier may have another width than the checkpoint's (new labels): it starts fresh
 * @throws `checkpoint.missing-tensors` when the body is incomplete, `checkpoint.shape` when a tensor does not fit
 */
export function matchWeights(
  checkpoint: Checkpoint,
  config: TransformerConfig,
  head: Head,
  options: { readonly seed: number; readonly resizable: boolean },
): MatchedWeights {
  const { architecture } = config;
  const found = new Map<string, string>();
  const fresh: string[] = [];
  const missing: string[] = [];
  for (const spec of parameterSpecs(config, head)) {
    const stored = storedAs(architecture, spec.name, spec.role).name;
    const name = spellings(architecture, stored).find((candidate) => checkpoint.tensors.has(candidate));
    const isNew =
      options.resizable &&
      name &&
      spec.name.startsWith(CLASSIFIER[architecture]) &&
      !fits(checkpoint, name, spec, config);
    if (name && !isNew) {
      requireFit(checkpoint, name, spec, config);
      found.set(spec.name, name);
    } else if (isHeadParameter(architecture, spec.name)) fresh.push(spec.name);
    else missing.push(stored);
  }
  if (missing.length > 0) {
    throw invalid('checkpoint.missing-tensors', `The checkpoint lacks ${missing.length} tensors: ${list(missing)}.`, {
      tensors: missing,
    });
  }
  const initial = freshWeights(options.seed, config.initializerRange);
  const source: WeightSource = (name, dims, role) => {
    const stored = found.get(name);
    if (stored === undefined) return initial(name, dims, role);
    return inGraphLayout(checkpoint.read(stored), storedAs(architecture, name, role));
  };
  return { source, warnings: warningsFor(checkpoint, new Set(found.values()), fresh, options.seed) };
}

function inGraphLayout(tensor: Tensor, { transposed, part }: ReturnType<typeof storedAs>): Tensor<'float32'> {
  const values = toFloat32(tensor);
  if (part !== undefined) return cutPart(values, part);
  return transposed ? transpose(values) : values;
}

/** Dimensions that the checkpoint's tensor must have. */
function storedDims({ name, dims, role }: ParameterSpec, { architecture }: TransformerConfig): readonly number[] {
  const { transposed, part } = storedAs(architecture, name, role);
  if (part !== undefined) return [...dims.slice(0, -1), dims.at(-1)! * FUSED_PARTS.length];
  return transposed ? dims.toReversed() : dims;
}

function fits(checkpoint: Checkpoint, name: string, spec: ParameterSpec, config: TransformerConfig): boolean {
  return checkpoint.tensors.get(name)?.dims.join() === storedDims(spec, config).join();
}

function requireFit(checkpoint: Checkpoint, name: string, spec: ParameterSpec, config: TransformerConfig): void {
  if (fits(checkpoint, name, spec, config)) return;
  const actual = checkpoint.tensors.get(name)?.dims.join(',');
  throw invalid(
    'checkpoint.shape',
    `Tensor "${name}" has the shape [${actual}], but config.json makes it [${storedDims(spec, config).join(',')}].`,
    { tensor: name },
  );
}

function warningsFor(
  checkpoint: Checkpoint,
  used: ReadonlySet<string>,
  fresh: readonly string[],
  seed: number,
): string[] {
  const extra = [...checkpoint.tensors.keys()].filter((name) => !used.has(name) && !isRedundant(name));
  const halves = [...used].filter((name) => checkpoint.tensors.get(name)?.dtype !== 'float32');
  return [
    ...(fresh.length > 0
      ? [
          `The checkpoint has no weights for ${list(fresh)}: initialised afresh with seed ${seed}; train the model before using it.`,
        ]
      : []),
    ...(extra.length > 0
      ? [`${extra.length} tensors of the checkpoint are not used for this task: ${list(extra)}.`]
      : []),
    ...(halves.length > 0
      ? [`${halves.length} tensors were stored in half or double precision and are now float32.`]
      : []),
  ];
}
