export * from './attribute';
export * from './dtype';
export * from './graph';
export * from './shape';
export * from './tensor';
