export * from './capabilities';
export { ortRuntime } from './ort';
export * from './runtime';
export { tfjsRuntime } from './tfjs';
