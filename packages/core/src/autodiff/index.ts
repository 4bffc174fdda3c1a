export * from './differentiate';
export * from './gates';
export * from './losses';
export * from './training-graph';
