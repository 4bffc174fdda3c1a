/** @file What is wrong with a share config, told before anything is queued, and what it will do to a model. */
import type { Component, Manifest } from '../bundle/manifest';
import { danIssues } from '../dan/finished';
import { knownMatrices } from '../factorize/estimate';
import type { Estimate, Issue, StagePreview } from '../stages/stage';
import { codebookBytes } from './codebook';
import type { CodebookSharing, LayerSharing, ShareConfig } from './config';
import { layerGroups } from './layers';

/** Problems of a config by itself and with what is known of its inputs. */
export function shareIssues({ share, epochs }: ShareConfig, { model, datasets }: StagePreview): Issue[] {
  const issues: Issue[] = [];
  const { data } = datasets;
  if (epochs > 0 && !data?.splits.train) {
    const missing = data ? `the data set "${data.name}" has none` : 'there is no data set';
    const message = `Recovery training reads a train split, but ${missing}: give one or set epochs to 0.`;
    issues.push({ path: 'epochs', code: data ? 'no-train-split' : 'no-data', message });
  }
  if (!model) return issues;
  if (model.architecture === 'dan') return [...issues, ...danIssues(model)];
  const missing = share.components.flatMap((component, i) => [
    ...componentIssues(component, i, model),
    ...(share.type === 'layers' ? factorIssues(component, i, model) : []),
  ]);
  if (missing.length > 0 || share.type === 'codebooks') return [...issues, ...missing];
  return [...issues, ...groupIssues(share, model)];
}

function componentIssues(component: Component, i: number, model: Manifest): Issue[] {
  const path = `share.components[${i}]`;
  if (model.components.some((entry) => entry.component === component)) return [];
  if (model.codebooks?.some((entry) => entry.component === component)) {
    return [
      { path, code: 'codebook', message: `${component} of the model "${model.name}" is stored as codes already.` },
    ];
  }
  return [{ path, code: 'no-component', message: `The model "${model.name}" has no ${component}.` }];
}

function factorIssues(component: Component, i: number, model: Manifest): Issue[] {
  if (!model.components.some((entry) => entry.component === component && entry.factor)) return [];
  const message = `${component} of the model "${model.name}" is factorized: let layers share whole matrices, then factorize those.`;
  return [{ path: `share.components[${i}]`, code: 'factorized', message }];
}

function groupIssues({ groups, components }: LayerSharing, model: Manifest): Issue[] {
  const { structure } = model;
  if (!structure || structure.layers.length < 2) {
    const message = `The model "${model.name}" has no layers that are known and could share matrices.`;
    return [{ path: 'share.groups', code: 'no-layers', message }];
  }
  const depth = structure.layers.length;
  const lists = layerGroups(groups, depth);
  const path = (i: number): string => (typeof groups === 'string' ? 'share.groups' : `share.groups[${i}]`);
  const seen = new Set<number>();
  return lists.flatMap((layers, i): Issue[] => {
    const beyond = layers.find((layer) => layer >= depth);
    if (beyond !== undefined) {
      const message = `There is no layer ${beyond}: the model has ${depth} layers, counted from 0.`;
      return [{ path: path(i), code: 'no-such-layer', message }];
    }
    const twice = layers.find((layer, at) => seen.has(layer) || layers.indexOf(layer) !== at);
    for (const layer of layers) seen.add(layer);
    if (twice !== undefined) {
      return [{ path: path(i), code: 'layer-twice', message: `Layer ${twice} is named twice.` }];
    }
    return shapeIssues(components, layers, model).map((message) => ({
      path: path(i),
      code: 'unequal-shapes',
      message,
    }));
  });
}

/** Components that are not of one shape in all layers of a group. */
function shapeIssues(components: readonly Component[], layers: readonly number[], model: Manifest): string[] {
  return components.flatMap((component) => {
    const known = knownMatrices(model, [component]) ?? [];
    const found = layers.map((layer) => known.find((matrix) => matrix.layer === layer));
    const shapes = found.map((matrix) => (matrix ? `${matrix.rows} x ${matrix.columns}` : 'not there'));
    const other = shapes.findIndex((shape) => shape !== shapes[0] || shape === 'not there');
    if (other < 0) return [];
    return [
      `Layers ${layers[0]} and ${layers[other]} cannot share ${component}: it is ${shapes[0]} in one and ${shapes[other]} in the other.`,
    ];
  });
}

/** Parameters and bytes as shares of the model's. */
export function estimateShare({ share }: ShareConfig, { model }: StagePreview): Estimate {
  const notes =
    share.type === 'layers'
      ? ['Shared layers cost as many operations as before: the file gets smaller, the model not faster.']
      : ['Codes are decoded when the model is loaded: the file gets smaller, memory and speed stay as they were.'];
  const matrices = model && knownMatrices(model, share.components);
  if (!model || !matrices) return { flops: 1, notes };
  const saved = share.type === 'layers' ? sharedElements(share, model) : savedByCodes(share, matrices);
  const left = 1 - saved / model.parameters.total;
  return { parameters: share.type === 'layers' ? left : 1, bytes: left, flops: 1, notes };
}

/** Elements that layers no longer have of their own. */
function sharedElements({ groups, components }: LayerSharing, model: Manifest): number {
  const depth = model.structure?.layers.length ?? 0;
  const known = knownMatrices(model, components) ?? [];
  const followers = layerGroups(groups, depth).flatMap((layers) => layers.slice(1));
  return known
    .filter(({ layer }) => layer !== undefined && followers.includes(layer))
    .reduce((sum, { rows, columns }) => sum + rows * columns, 0);
}

/** Saved bytes, in float32 elements. */
const savedByCodes = (
  { bits, rowsPerGroup }: CodebookSharing,
  matrices: readonly { readonly rows: number; readonly columns: number }[],
): number =>
  matrices.reduce((sum, { rows, columns }) => {
    const bytes = codebookBytes({ rows, columns, bits, rowsPerGroup: Math.min(rows, rowsPerGroup ?? rows) });
    return sum + Math.max(0, rows * columns - bytes / 4);
  }, 0);
