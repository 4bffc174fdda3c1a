export type { ImportFile } from './collect';
export { ENCODINGS } from './encoding';
export type { Encoding } from './encoding';
export { importDataset } from './import-dataset';
export { AUTO_SPLITS, FORMATS } from './options';
export type { Column, Format, ImportOptions, Mapping, SplitShares } from './options';
