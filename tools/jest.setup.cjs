// Nest's decorators need the metadata shim before any class is defined.
require('reflect-metadata');
