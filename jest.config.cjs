/** One Jest configuration for the whole workspace: TypeScript through SWC, packages resolved to their sources. */
module.exports = {
  rootDir: __dirname,
  testMatch: ['<rootDir>/{apps,packages,examples}/**/*.spec.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/dist/'],
  modulePathIgnorePatterns: ['<rootDir>/.*/dist/'],
  moduleNameMapper: {
    '^@modelpress/(core|service|client|dan|native)$': '<rootDir>/packages/$1/src/index.ts',
    '^@modelpress/examples$': '<rootDir>/examples/support-bot.ts',
    '^@modelpress/service/testing$': '<rootDir>/packages/service/src/testing/index.ts',
    '^@modelpress/api$': '<rootDir>/apps/api/src/index.ts',
  },
  // Nest 12 and a few others ship ES modules only; Jest 30 on Node 20 needs them compiled.
  transform: {
    '\\.[cm]?[jt]s$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          keepClassNames: true,
        },
        module: { type: 'commonjs' },
      },
    ],
  },
  transformIgnorePatterns: [
    '/node_modules/(?!(?:\\.pnpm/[^/]+/node_modules/)?(@nestjs/|@huggingface/tokenizers/|content-disposition/|cookie/|@tensorflow/tfjs-core/dist/(?!tf-core)))',
  ],
  globalSetup: '<rootDir>/tools/jest.global-setup.cjs',
  globalTeardown: '<rootDir>/tools/jest.global-teardown.cjs',
  setupFilesAfterEnv: ['<rootDir>/tools/jest.setup.cjs'],
  testTimeout: 60_000,
  maxWorkers: 2,
};
