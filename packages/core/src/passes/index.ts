/** @file Graph rewrites, one per file. */
export { removeDeadCode } from './dead-code';
export { eliminateCommonSubexpressions } from './eliminate-common-subexpressions';
export { eliminateIdentities } from './eliminate-identities';
export { foldConstants } from './fold-constants';
export { fuseGelu } from './fuse-gelu';
export { fuseLayerNormalization } from './fuse-layer-normalization';
export { inferShapes } from './infer-shapes';
export { sequence } from './pass';
export type { Pass, PassResult } from './pass';
export { promoteToInputs } from './promote-to-inputs';
export { raiseOpset, TARGET_OPSET } from './raise-opset';
export { parameterNames } from './rewrite';
export { simplify, specialise } from './specialise';
export type { Specialisation } from './specialise';
