export * from './build';
export * from './compare';
export * from './format';
export * from './goals';
export { renderReport } from './html/page';
export { renderReports, type VariantReport } from './html/sweep';
export * from './measurement';
export * from './report';
export * from './text';
