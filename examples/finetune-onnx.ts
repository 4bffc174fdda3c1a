/**
 * @file Fine-tunes a classifier that somebody exported to ONNX, without Python and without knowing its architecture.
 *
 *   node examples/dist/finetune-onnx.js MODEL.onnx TOKENIZER_FOLDER TREC_FOLDER OUT.onnx
 *
 * MODEL.onnx takes `input_ids`, `attention_mask` and perhaps `token_type_ids` and gives `logits`; its initializers
 * `*classifier.weight` [labels, hidden] and `*classifier.bias` are replaced, because TREC has labels of its own.
 * TREC_FOLDER holds TREC.train and TREC.test with lines like `LOC:city What is the capital of Yugoslavia ?`. OUT.onnx is
 * an ordinary model with dynamic axes: both accuracies are measured by loading a file into ONNX Runtime.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  Random,
  Tensor,
  Trainer,
  crossEntropy,
  insertDropout,
  loadTokenizer,
  optimizerSchema,
  ortRuntime,
  readModelFile,
  scheduleSchema,
  trainLoop,
  writeModelFile,
} from '@modelpress/core';
import type { HostTensor, Model, Tokenizer, TrainingBatch } from '@modelpress/core';

const LABELS = ['ABBR', 'DESC', 'ENTY', 'HUM', 'LOC', 'NUM'];
const BATCH = 32;
const EPOCHS = 10;
const LEARNING_RATE = 1e-3;

interface Question {
  readonly ids: readonly number[];
  readonly label: number;
}

/** Questions with the coarse part of their label. The files are Latin-1. */
function readTrec(file: string, tokenizer: Tokenizer): Question[] {
  const lines = readFileSync(file, 'latin1').trim().split('\n');
  return lines.map((line) => {
    const [, coarse, text] = /^(\w+):\S+ (.*)$/.exec(line)!;
    return { ids: [...tokenizer.encode(text, undefined, { maxLength: 48 }).ids], label: LABELS.indexOf(coarse) };
  });
}

/** Pads to a multiple of 8, so that a run needs few graphs. */
function toBatch(questions: readonly Question[], { inputs }: Model['graph'], padId: number): TrainingBatch {
  const length = 8 * Math.ceil(Math.max(...questions.map(({ ids }) => ids.length)) / 8);
  const rows = (cell: (ids: readonly number[], column: number) => number): HostTensor => ({
    dtype: 'int64',
    dims: [questions.length, length],
    data: BigInt64Array.from(
      questions.flatMap(({ ids }) => Array.from({ length }, (_, column) => BigInt(cell(ids, column)))),
    ),
  });
  const all: Record<string, HostTensor> = {
    input_ids: rows((ids, column) => ids[column] ?? padId),
    attention_mask: rows((ids, column) => Number(column < ids.length)),
    token_type_ids: rows(() => 0),
  };
  const labels = BigInt64Array.from(questions, ({ label }) => BigInt(label));
  return {
    inputs: {
      ...Object.fromEntries(inputs.map(({ name }) => [name, all[name]])),
      labels: { dtype: 'int64', dims: [questions.length], data: labels },
    },
  };
}

const chunks = <T>(items: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(items.length / BATCH) }, (_, i) => items.slice(i * BATCH, (i + 1) * BATCH));

/** Gives the classifier fresh rows for our labels. */
function replaceClassifier({ graph }: Model): void {
  const random = new Random(1);
  for (const value of graph.initializers) {
    if (value.name.endsWith('classifier.bias')) value.constant = Tensor.float32([LABELS.length], new Float32Array(6));
    if (!value.name.endsWith('classifier.weight')) continue;
    const dims = [LABELS.length, value.constant!.dims[1]];
    const weights = Float32Array.from({ length: dims[0] * dims[1] }, () => 0.02 * random.normal());
    value.constant = Tensor.float32(dims, weights);
  }
  for (const value of graph.initializers) value.shape = value.constant!.dims;
  for (const output of graph.outputs) output.shape = [output.shape![0], LABELS.length];
}

/** Share of questions that the model in a file gets right, in ONNX Runtime. */
async function accuracyOf(path: string, questions: readonly Question[], model: Model, padId: number): Promise<number> {
  const executable = await ortRuntime.compile({ path });
  let right = 0;
  for (const chunk of chunks(questions)) {
    const { logits } = await executable.run(toBatch(chunk, model.graph, padId).inputs);
    chunk.forEach(({ label }, row) => {
      const scores = [...(logits.data as Float32Array).subarray(row * LABELS.length, (row + 1) * LABELS.length)];
      right += Number(scores.indexOf(Math.max(...scores)) === label);
    });
  }
  await executable.release();
  return right / questions.length;
}

async function main([modelPath, tokenizerFolder, trecFolder, outPath]: readonly string[]): Promise<void> {
  const tokenizer = await loadTokenizer(tokenizerFolder);
  const [train, test] = ['TREC.train', 'TREC.test'].map((file) => readTrec(join(trecFolder, file), tokenizer));
  const model = await readModelFile(modelPath);
  replaceClassifier(model);
  await writeModelFile(model, outPath);
  const before = await accuracyOf(outPath, test, model, tokenizer.padId);

  const trainer = new Trainer({
    model,
    loss: (build, outputs) => {
      const logits = outputs.get('logits')!;
      return crossEntropy(build, logits, build.input('labels', 'int64', logits.shape!.slice(0, 1)));
    },
    dropout: (special) => insertDropout(special, { ratio: 0.1 }),
    optimizer: optimizerSchema.parse({ learningRate: LEARNING_RATE }),
    seed: 1,
  });
  const { steps } = await trainLoop(trainer, {
    source: {
      epoch(number) {
        // Questions of like length share a batch, so that little of it is padding; batches come in random order.
        const random = new Random(number);
        const sorted = random.shuffle([...train]).sort((a, b) => a.ids.length - b.ids.length);
        const batches = random.shuffle(chunks(sorted));
        return { count: batches.length, batch: (index) => toBatch(batches[index], model.graph, tokenizer.padId) };
      },
    },
    length: { epochs: EPOCHS },
    learningRate: LEARNING_RATE,
    schedule: scheduleSchema.parse({}),
    onStep: ({ step, loss }) => {
      if (step % 100 === 0) console.log(`step ${step}: loss ${loss.toFixed(3)}`);
    },
  });
  await writeModelFile(trainer.exportModel(), outPath);
  await trainer.release();
  const after = await accuracyOf(outPath, test, model, tokenizer.padId);
  console.log(`${steps} steps; accuracy on TREC's test split: ${before} before, ${after} after. Wrote ${outPath}`);
  if (after <= before) process.exitCode = 1;
}

void main(process.argv.slice(2));
