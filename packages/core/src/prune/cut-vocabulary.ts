/** @file A bundle without the tokens that it never reads: rows of the table, tokenizer files and manifest. */
import { refreshManifest } from '../bundle';
import type { Bundle, Manifest } from '../bundle';
import { unsupported } from '../errors';
import { clone, Tensor } from '../graph';
import type { Graph, Model, Node, Value } from '../graph';
import type { TokenizerSource } from '../text/tokenizer-definition';
import { cutTokenizerFiles } from './tokenizer-cut';
import { idsByToken } from './vocabulary';
import type { VocabularyKeep } from './vocabulary';

/**
 * Cuts a bundle down to the kept tokens. Every text whose tokens all stayed gives the same logits, bit for bit.
 * @throws unsupported `prune.vocabulary` where the token table is used for more than looking ids up
 */
export function cutVocabulary(bundle: Bundle, source: TokenizerSource, keep: VocabularyKeep): Bundle {
  const { manifest } = bundle;
  const model = clone(bundle.model);
  const table = tokenTable(model.graph);
  table.constant = rowsOf(table.constant!, keep.ids);
  table.shape = table.constant.dims;
  renumberComparisons(model, keep);
  const kept = new Set(keep.ids);
  const vocabulary = idsByToken(source.definition);
  const has = (token: string): boolean => kept.has(vocabulary.get(token) ?? -1);
  const changes: Partial<Manifest> = {
    config: renumberConfig(manifest.config, keep),
    provenance: [...manifest.provenance, { step: 'prune', detail: { vocabulary: keep.ids.length } }],
    ...(manifest.tokenizer && {
      tokenizer: { ...manifest.tokenizer, padId: keep.renumbered.get(manifest.tokenizer.padId)! },
    }),
    ...(manifest.structure && { structure: { ...manifest.structure, vocabulary: keep.ids.length } }),
  };
  requireSamePadding(manifest, keep);
  return {
    ...bundle,
    model,
    manifest: refreshManifest(manifest, model, changes),
    tokenizerFiles: cutTokenizerFiles(bundle.tokenizerFiles, keep, has),
  };
}

/** The table that `input_ids` are looked up in, and nothing else reads. */
function tokenTable(graph: Graph): Value {
  const lookups = readersOfIds(graph).filter((node) => node.opType === 'Gather' && node.input(0).constant);
  const [table, ...others] = new Set(lookups.map((node) => node.input(0)));
  if (!table || others.length > 0) throw refusal('the table that token ids are looked up in was not found');
  const other = table.consumers.find((node) => !lookups.includes(node));
  if (other) throw refusal(`its token table is also read by ${other}, as in a language model`);
  return table;
}

/** What reads the token ids, also after a conversion of their type. */
function readersOfIds({ inputs }: Graph): Node[] {
  const ids = inputs.find(({ name }) => name === 'input_ids');
  const direct = ids?.consumers ?? [];
  const converted = direct.filter((node) => node.opType === 'Cast').flatMap((node) => node.output().consumers);
  return [...direct, ...converted];
}

/** Ids that the graph compares with, such as the padding id, get their new numbers. */
function renumberComparisons({ graph }: Model, { renumbered }: VocabularyKeep): void {
  for (const node of readersOfIds(graph)) {
    if (node.opType === 'Gather' || node.opType === 'Shape' || node.opType === 'Cast') continue;
    const index = node.inputs.findIndex((value) => value?.constant?.size === 1);
    const constant = node.inputs[index]?.constant;
    const renamed = constant?.is('int64') ? renumbered.get(constant.toNumbers()[0]) : undefined;
    if (node.opType !== 'Equal' || !constant || renamed === undefined) {
      throw refusal(`${node} reads the token ids, and what it would make of new ones is not known`);
    }
    const tensor = Tensor.int64(constant.dims, [renamed]);
    graph.setInput(node, index, graph.addInitializer(graph.uniqueName('token_id'), tensor));
  }
}

function rowsOf(table: Tensor, rows: readonly number[]): Tensor {
  if (!table.is('float32')) throw refusal(`its token table holds ${table.dtype}, not float32`);
  const width = table.dims[1];
  const { data } = table;
  const cut = new Float32Array(rows.length * width);
  rows.forEach((row, i) => cut.set(data.subarray(row * width, (row + 1) * width), i * width));
  return Tensor.float32([rows.length, width], cut);
}

/** `vocab_size` (or `vocabulary`) and every `..._token_id`. */
function renumberConfig(config: Manifest['config'], { ids, renumbered }: VocabularyKeep): Manifest['config'] {
  const entries = Object.entries(config).map(([field, value]): [string, unknown] => {
    if (typeof value !== 'number') return [field, value];
    if (field === 'vocab_size' || field === 'vocabulary') return [field, ids.length];
    return [field, field.endsWith('_token_id') ? (renumbered.get(value) ?? value) : value];
  });
  return Object.fromEntries(entries);
}

/** RoBERTa counts positions from the padding id. */
function requireSamePadding({ architecture, tokenizer }: Manifest, { renumbered }: VocabularyKeep): void {
  if (architecture !== 'roberta' || !tokenizer || renumbered.get(tokenizer.padId) === tokenizer.padId) return;
  throw refusal('its positions count from the padding id, which would change');
}

const refusal = (reason: string): Error =>
  unsupported('prune.vocabulary', `The vocabulary of this model cannot be pruned: ${reason}.`, { field: 'vocabulary' });
