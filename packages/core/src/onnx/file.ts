/** @file Models on disk, with or without a side file for the weights. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { limitExceeded } from '../errors';
import type { Model, Tensor } from '../graph';
import { readExternalData, SideFileWriter } from './external-data';
import { DataLocation } from './proto';
import type { GraphProto, TensorProto } from './proto';
import { decodeModel, toModel } from './read';
import { fromTensor } from './tensor';
import { encodeModel } from './write';

/** Protobuf's own limit for one file; weights beyond it live in side files. */
const MAX_FILE_BYTES = 2 ** 31 - 1;

/**
 * Reads a model and the side files it names, which must lie in the model's folder (see `readExternalData`).
 * @throws ModelpressError `onnx.*`
 */
export async function readModelFile(path: string): Promise<Model> {
  const { size } = await stat(path);
  if (size > MAX_FILE_BYTES) {
    throw limitExceeded('onnx.too-large', `${basename(path)} has ${size} bytes; an ONNX file ends below 2 GiB.`);
  }
  const proto = decodeModel(await readFile(path));
  const external = tensorsOf(proto.graph).filter((tensor) => tensor.dataLocation === DataLocation.External);
  return toModel(proto, await readExternalData(dirname(path), external));
}

/** Every tensor of a graph: initializers, constants in attributes, and those of control-flow bodies. */
function tensorsOf(graph: GraphProto): TensorProto[] {
  const attributes = graph.node.flatMap((node) => node.attribute);
  return [
    ...graph.initializer,
    ...attributes.flatMap(({ t }) => t ?? []),
    ...attributes.flatMap(({ g }) => (g ? tensorsOf(g) : [])),
  ];
}

export interface WriteModelOptions {
  /** Initializers of at least so many bytes go to the side file `<name>.data`; default: none do. */
  readonly externalDataAbove?: number;
}

/**
 * Writes a model; weights go to the files straight from where they lie.
 * @throws ModelpressError `onnx.too-large` when more than 2 GiB would end up in the model file
 */
export async function writeModelFile(model: Model, path: string, options: WriteModelOptions = {}): Promise<void> {
  const { externalDataAbove = Infinity } = options;
  const large = model.graph.initializers.filter((value) => value.constant!.bytes.length >= externalDataAbove);
  const stored = new Map<string, TensorProto>();
  if (large.length > 0) {
    const writer = await SideFileWriter.create(dirname(path), `${basename(path)}.data`);
    try {
      for (const { name, constant } of large) stored.set(name, await writer.append(name, constant!));
    } finally {
      await writer.close();
    }
  }
  const store = (name: string, tensor: Tensor): TensorProto => stored.get(name) ?? fromTensor(name, tensor);
  await writeFile(path, encodeModel(model, store).parts());
}
