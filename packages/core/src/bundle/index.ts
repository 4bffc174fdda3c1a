export * from './bundle';
export * from './describe';
export * from './manifest';
export { checkVocabulary, validateBundle } from './validate';
