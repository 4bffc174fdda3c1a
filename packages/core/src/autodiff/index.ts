export * from './differentiate';
