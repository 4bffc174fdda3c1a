/** @file A bundle made ready for timing. */
import { join } from 'node:path';
import { MODEL_FILE, readManifest, readsTokens } from '../bundle/bundle';
import type { Manifest } from '../bundle/manifest';
import { unsupported } from '../errors';
import { readModelFile } from '../onnx';
import { servingOf } from '../runtime';
import type { Precision, RuntimeChoice, Serving } from '../runtime';
import { loadTokenizer } from '../text/tokenizer';
import type { Tokenizer } from '../text/tokenizer';
import { loadModel } from './loaded-model';
import type { LoadedModel } from './loaded-model';

/** One of the models that a benchmark compares. */
export class Subject {
  private constructor(
    readonly folder: string,
    readonly manifest: Manifest,
    readonly tokenizer: Tokenizer | undefined,
    /** Number of valid token ids. */
    readonly vocabulary: number,
    readonly serving: Serving,
  ) {}

  static async open(folder: string, choice: RuntimeChoice = 'ort', precision: Precision = 'fp32'): Promise<Subject> {
    const manifest = await readManifest(folder);
    const tokenizer = readsTokens(manifest) ? await loadTokenizer(folder) : undefined;
    const vocabulary =
      manifest.structure?.vocabulary ?? tokenizer?.vocabularySize ?? (await tableRows(join(folder, MODEL_FILE)));
    return new Subject(folder, manifest, tokenizer, vocabulary, servingOf(manifest, choice, precision));
  }

  /** The plain model, whatever it runs in. */
  get modelPath(): string {
    return join(this.folder, MODEL_FILE);
  }

  /** Whether it can be timed from text to result. */
  get readsText(): boolean {
    return this.manifest.tokenizer !== undefined;
  }

  load(threads: number): Promise<LoadedModel> {
    const { folder, manifest, tokenizer, vocabulary, serving } = this;
    return loadModel({ folder, manifest, tokenizer, vocabulary, threads, serving });
  }
}

/** Rows of the constant table that the model looks `input_ids` up in. */
async function tableRows(path: string): Promise<number> {
  const { graph } = await readModelFile(path);
  const ids = graph.inputs.find((input) => input.name === 'input_ids');
  const casts =
    ids?.consumers.filter((node) => node.opType === 'Cast').flatMap((node) => node.output().consumers) ?? [];
  const lookup = [...(ids?.consumers ?? []), ...casts].find(
    (node) => node.opType === 'Gather' && node.input(0).constant,
  );
  const rows = lookup?.input(0).constant?.dims[0];
  if (rows !== undefined) return rows;
  throw unsupported(
    'benchmark.vocabulary',
    'It is not known which token ids are valid: the bundle has no tokenizer and the model no embedding table for "input_ids".',
    { file: MODEL_FILE },
  );
}
