/** @file Help for tests of this package and of those that stand on it: `@modelpress/service/testing`. */
export * from './eventually';
export * from './postgres';
export * from './redis';
export * from './stack';
export * from './s3';
