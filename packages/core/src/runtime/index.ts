export * from './capabilities';
export { ORT_VERSION, ortRuntime } from './ort';
export * from './runtime';
export * from './serving';
export { tfjsRuntime } from './tfjs';
export { bf16Obstacle, nativeObstacle, nativeRuntime, switchNative } from './native';
