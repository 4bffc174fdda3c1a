export * from './errors';
export * from './issues';
export * from './recipe';
export * from './bundle/manifest';
export * from './report';
export * from './stages/stage';
export * from './text/dataset';
export * from './runtime';
