/** @file Measuring speed, memory and size on this machine. */
export { benchmark, describeCell } from './benchmark';
export type { BenchmarkOptions, Cell, Latency } from './benchmark';
export { loadModel } from './loaded-model';
export type { LoadedModel, LoadOptions, TextRow } from './loaded-model';
export { carbonOf, EnergyMeter, estimateEnergy, measureEnergy } from './energy';
export type { EnergyAssumptions } from './energy';
export { int8Warning, readEnvironment } from './environment';
export { measureMemory } from './memory';
export type { MemoryFigures, MemoryRequest } from './memory';
export { measureSize } from './size';
export type { SizeFigures } from './size';
export { Subject } from './subject';
export { takeTurns } from './take-turns';
