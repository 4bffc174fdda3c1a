export * from './capabilities';
export { ortRuntime } from './ort';
export * from './runtime';
