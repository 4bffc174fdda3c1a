/** @file A shallower copy of a teacher, to start a student from (as DistilBERT started from every second layer). */
import type { Bundle } from '../bundle/bundle';
import { refreshManifest } from '../bundle/describe';
import { invalid } from '../errors';
import { structureOf } from './config';
import { headOf, transformerConfigOf } from './export';
import { buildTransformer } from './transformer';
import type { WeightSource } from './weights';

/** `encoder.layer.3.`, `transformer.layer.3.` or `h.3.` */
const LAYER_INDEX = /(\.layer\.|\bh\.)(\d+)\./;

/**
 * The model of the given layers only, in the given order; everything else is the teacher's.
 * @param layers indices of the teacher's layers, from 0
 * @throws `model.layers` for an index that the teacher does not have, `export.architecture` for a foreign model
 */
export function selectLayers(teacher: Bundle, layers: readonly number[]): Bundle {
  const config = transformerConfigOf(teacher);
  const absent = layers.find((layer) => !config.layers[layer]);
  if (absent !== undefined || layers.length === 0) {
    throw invalid(
      'model.layers',
      `The model has the layers 0 to ${config.layers.length - 1}; ${layers.join(', ')} was asked for.`,
      {
        field: 'layers',
      },
    );
  }
  const { graph } = teacher.model;
  const source: WeightSource = (name) =>
    graph.value(name.replace(LAYER_INDEX, (_, kind: string, index: string) => `${kind}${layers[Number(index)]}.`))
      .constant!;
  const smaller = { ...config, layers: layers.map((layer) => config.layers[layer]) };
  const built = buildTransformer(smaller, headOf(teacher), source);
  const changes = {
    components: [...built.components],
    structure: structureOf(smaller),
    provenance: [...teacher.manifest.provenance, { step: 'select-layers', detail: { layers: [...layers] } }],
  };
  return { ...teacher, model: built.model, manifest: refreshManifest(teacher.manifest, built.model, changes) };
}
