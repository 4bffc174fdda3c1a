/** @file Parameters without the hidden dimensions that go. */
import { blueprint } from '../models';
import type { Head, TransformerConfig, WeightSource } from '../models';
import type { HiddenKeep } from './neurons';
import { slice } from './slice';

/**
 * Cuts what a source gives down to the kept dimensions. Which axes of a parameter are hidden ones is told by building
 * the same model one dimension narrower: they shrink.
 * @param source gives the parameters of `config`
 */
export function keepHidden(
  source: WeightSource,
  config: TransformerConfig,
  head: Head,
  { dims, pooled }: HiddenKeep,
): WeightSource {
  const wide = blueprint(config, head);
  const narrow = new Map(
    blueprint({ ...config, hidden: config.hidden - 1 }, head).specs.map((spec) => [spec.name, spec.dims]),
  );
  const hiddenAxes = new Map(
    wide.specs.map((spec) => [spec.name, spec.dims.map((dim, axis) => dim !== narrow.get(spec.name)![axis])]),
  );
  const component = (name: string): string | undefined =>
    wide.components.find(({ weight, bias }) => weight === name || bias === name)?.component;
  const hasPooler = wide.components.some((entry) => entry.component === 'W_P');
  /** What an axis that is as wide as the stream holds: the pooler's outputs are neurons of their own. */
  const keptOn = (name: string, axis: number, rank: number): readonly number[] => {
    const role = component(name);
    const isPooled = (role === 'W_P' && axis === rank - 1) || (role === 'classifier' && axis === 0 && hasPooler);
    return isPooled ? pooled : dims;
  };
  return (name, smaller, role) => {
    const axes = hiddenAxes.get(name)!;
    const tensor = source(name, smaller, role);
    if (!tensor.is('float32')) return tensor;
    const kept = axes.map((isHidden, axis) => (isHidden ? keptOn(name, axis, axes.length) : undefined));
    return slice(tensor, kept.at(-2), kept.at(-1));
  };
}
