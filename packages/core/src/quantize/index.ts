/** @file Fewer bits per weight. */
export { quantizeSymmetric, symmetricLevels } from './affine';
export type { ChannelAxis, QuantizedMatrix } from './affine';
export { chooseForm } from './choose-form';
export type { FormChoice } from './choose-form';
export { quantizeDynamicInt8 } from './dynamic';
export type { DynamicInt8Options, DynamicInt8Result, QuantizedWeight } from './dynamic';
export { EMISSION_FORMS } from './emit';
export type { EmissionForm } from './emit';
export { exclusionsSchema } from './exclude';
export type { Exclusions } from './exclude';
export { findSites, refuseQuantized } from './sites';
export type { LinearSite, Site, Skipped, TableSite } from './sites';
