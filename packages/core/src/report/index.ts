export * from './build';
export * from './compare';
export * from './format';
export * from './goals';
export * from './html/page';
export * from './measurement';
export * from './report';
export * from './text';
