export * from './adapters';
export * from './lora';
export * from './prefix';
