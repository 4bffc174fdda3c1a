export { buildBilstm } from './bilstm';
export type { BilstmConfig } from './bilstm';
export { openCheckpoint } from './checkpoint';
export type { Checkpoint } from './checkpoint';
export {
  headFor,
  maxLengthOf,
  structureOf,
  TRANSFORMER_ARCHITECTURES,
  transformerConfig,
  uniformLayers,
} from './config';
export type { Activation, Head, LayerSizes, TransformerArchitecture, TransformerConfig } from './config';
export { configFromHuggingFace, taskOf } from './config-huggingface';
export type { HuggingFaceConfig } from './config-huggingface';
export { configToHuggingFace } from './config-huggingface-export';
export { createBilstm, createTextCnn, createTransformer } from './create';
export type { CreateOptions } from './create';
export * from './detect';
export { insertDropout } from './dropout';
export type { DropoutOptions, DropoutSite } from './dropout';
export { exportHuggingFace, headOf, rewrittenGraph, transformerConfigOf } from './export';
export { hiddenMaskFeeds, hiddenNormParameters, maskHidden } from './hidden-mask';
export { DEFAULT_HUB, downloadFromHub, parseHubReference } from './hub';
export type { Downloaded, DownloadOptions, DownloadProgress, HubReference } from './hub';
export { importOnnx, STAGES_WITHOUT_STRUCTURE } from './import-onnx';
export type { ImportOnnxOptions } from './import-onnx';
export { importHuggingFace, manifestFor } from './import';
export type { ImportedModel, ImportHuggingFaceOptions } from './import';
export type { BuiltModel } from './network';
export { blueprint } from './parameters';
export { SafetensorsFile, writeSafetensors } from './safetensors';
export { selectLayers } from './select-layers';
export { buildTextCnn } from './textcnn';
export type { TextCnnConfig } from './textcnn';
export { buildTransformer } from './transformer';
export { unrollLstm } from './unroll-lstm';
export { freshWeights, weightsOf } from './weights';
export type { WeightRole, WeightSource } from './weights';
