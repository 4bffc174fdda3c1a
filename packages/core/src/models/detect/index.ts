export { findAnatomy, findClassifier, tryAnatomy } from './anatomy';
export type { Anatomy, AnatomyLayer, FfnBlock } from './anatomy';
export type { AttentionBlock, HeadGroup } from './attention-block';
export { componentsOf, structureFrom } from './describe';
export type { Embeddings } from './embeddings';
export { findLayerNorms } from './layer-norm';
export type { LayerNorm } from './layer-norm';
export { findLinears } from './linear';
export type { Linear } from './linear';
