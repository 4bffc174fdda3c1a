export * from './errors';
export * from './issues';
export * from './recipe';
