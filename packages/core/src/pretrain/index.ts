export { pretrainSchema } from './config';
export type { PretrainConfig } from './config';
export { pretrain } from './pretrain';
export type { PretrainContext, PretrainResult } from './pretrain';
