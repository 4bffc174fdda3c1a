/** @file ONNX files in and out. The only folder that knows protobuf. */
export { readModelFile, writeModelFile } from './file';
export type { WriteModelOptions } from './file';
export { MAX_OPSET, MIN_OPSET, readModel } from './read';
export { writeModel } from './write';
