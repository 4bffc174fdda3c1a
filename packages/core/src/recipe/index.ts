export * from './check-goals';
export * from './parse';
export * from './preview';
export * from './recipe';
export * from './resolve';
export * from './sweep';
