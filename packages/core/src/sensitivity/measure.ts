/** @file The effect of every choice on every group of weights. */
import type { ComponentEntry } from '../bundle/manifest';
import { throwIfAborted } from '../errors';
import type { Model } from '../graph';
import type { Choice, Treatment } from './choices';
import { nameOf, treat } from './choices';
import type { Effect } from './effects';
import { cellGroups, componentGroups, layerGroups } from './groups';
import type { WeightGroup } from './groups';
import type { Judge } from './judge';
import type { Stopwatch } from './latency';
import type { ResultCache } from './result-cache';

export interface MeasureOptions {
  readonly choices: readonly Choice[];
  readonly components: readonly ComponentEntry[];
  /** Also each component of each layer by itself. */
  readonly cells: boolean;
  readonly judge: Judge;
  readonly stopwatch: Stopwatch;
  /** Share of all operations by weight. */
  readonly operations: ReadonlyMap<string, number>;
  readonly cache: ResultCache<Effect>;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number, phase: string) => void;
}

interface Task {
  readonly choice: string;
  readonly scope: Effect['scope'];
  readonly group: WeightGroup;
  readonly treatment: Treatment;
}

/** Treats one group at a time and leaves the rest of the model as it is. Sorted: the most harmful first. */
export async function measureSensitivity(model: Model, options: MeasureOptions): Promise<Effect[]> {
  const { choices, components, judge, cache, signal, onProgress } = options;
  const tasks = choices.flatMap((choice) => tasksOf(nameOf(choice), treat(choice, model, components), options));
  const effects: Effect[] = [];
  for (const task of tasks) {
    throwIfAborted(signal);
    const { choice, scope, group } = task;
    onProgress(effects.length, tasks.length, `${choice}, ${group.name}`);
    effects.push(await cache.of([choice, scope, group.name].join('\n'), () => effectOf(task, model, judge, options)));
  }
  return effects.sort((a, b) => b.divergence - a.divergence);
}

function tasksOf(choice: string, treatment: Treatment, { components, cells }: MeasureOptions): Task[] {
  const { weights } = treatment;
  const groups: Record<Effect['scope'], readonly WeightGroup[]> = {
    layer: layerGroups(weights, components),
    component: componentGroups(weights, components),
    cell: cells ? cellGroups(weights, components) : [],
  };
  return (Object.keys(groups) as Effect['scope'][]).flatMap((scope) =>
    groups[scope].map((group) => ({ choice, scope, group, treatment })),
  );
}

async function effectOf(
  { choice, scope, group, treatment }: Task,
  model: Model,
  judge: Judge,
  { stopwatch, operations }: MeasureOptions,
): Promise<Effect> {
  const { name, layer, component, weights } = group;
  const version = treatment.apply(weights);
  const { figures, divergence } = await judge.judge(version);
  return {
    choice,
    scope,
    group: name,
    ...(layer === undefined ? {} : { layer }),
    ...(component === undefined ? {} : { component }),
    weights: [...weights],
    figures: { ...figures },
    divergence,
    bytesBefore: sum(weights, (weight) => model.graph.value(weight).constant!.bytes.byteLength),
    bytesAfter: sum(weights, treatment.bytes),
    ...(treatment.isReal
      ? // One matrix of one layer changes the whole model by less than the timings spread.
        scope !== 'cell' && (await measured(stopwatch, version))
      : counted(treatment, weights, operations)),
  };
}

type Speed = Pick<Effect, 'speedup' | 'speedupInterval' | 'speedupBy'>;

async function measured(stopwatch: Stopwatch, version: Model): Promise<Speed> {
  const { value, interval } = await stopwatch.compare(version);
  return { speedup: value, speedupInterval: interval, speedupBy: 'measured' };
}

function counted(treatment: Treatment, weights: readonly string[], operations: ReadonlyMap<string, number>): Speed {
  if (operations.size === 0) return {};
  const saved = sum(weights, (weight) => (operations.get(weight) ?? 0) * (1 - treatment.flopsKept(weight)));
  return { speedup: 1 / (1 - saved), speedupBy: 'operations' };
}

const sum = <T>(values: readonly T[], of: (value: T) => number): number =>
  values.reduce((total, value) => total + of(value), 0);
