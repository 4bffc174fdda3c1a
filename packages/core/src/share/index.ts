/** @file One matrix for several layers, or few values for many weights. */
export { codebookBytes, decoded, makeCodebook } from './codebook';
export type { Codebook } from './codebook';
export { shareSchema } from './config';
export type { CodebookSharing, LayerSharing, ShareConfig } from './config';
export { storeAsCodebook } from './decode';
export { kMeans } from './kmeans';
export { shareLayers } from './layers';
export { shareBundle } from './run';
export type { CodedWeight, ShareResult } from './run';
