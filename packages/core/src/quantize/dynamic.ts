/** @file Int8 dynamic quantization: int8 weights in the file, activations quantized while the model runs. */
import type { Model } from '../graph';
import type { EmissionForm } from './emit';
import { quantizeModel } from './quantize';
import type { QuantizeOptions, QuantizeResult } from './quantize';

export interface DynamicInt8Options extends QuantizeOptions {
  readonly form: EmissionForm;
}

/** `quantizeModel` by the method that needs no data. */
export const quantizeDynamicInt8 = (model: Model, { form, ...options }: DynamicInt8Options): QuantizeResult =>
  quantizeModel(model, { kind: 'dynamic', form }, options);
