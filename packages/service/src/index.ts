export * from './contract';
export * from './database/entities';
export * from './state/states';
