/** @file Energy and carbon of both models, for the benchmark stage. */
import type { Cell } from '../bench/benchmark';
import { carbonOf, EnergyMeter, estimateEnergy, measureEnergy } from '../bench/energy';
import type { EnergyAssumptions } from '../bench/energy';
import type { LoadedModel } from '../bench/loaded-model';
import type { Subject } from '../bench/subject';
import type { StageContext } from './stage';

export interface EnergyFigures {
  /** Counters of the processor, or power times time. */
  readonly by: 'counters' | 'estimate';
  readonly assumptions: EnergyAssumptions;
  readonly batch: number;
  readonly sequence: number;
  readonly threads: number;
  /** Of one text. */
  readonly models: readonly {
    readonly subject: 'candidate' | 'baseline';
    readonly joules: number;
    readonly grams: number;
  }[];
}

interface EnergyConfig {
  readonly batches: readonly number[];
  readonly sequences: readonly number[];
  readonly energy: EnergyAssumptions & { readonly seconds: number };
}

/** At the first shape of the grid. `cells` are its timings, which the estimate goes by. */
export async function benchmarkEnergy(
  { batches: [batch], sequences: [sequence], energy }: EnergyConfig,
  subjects: readonly [candidate: Subject, baseline: Subject | undefined],
  cells: readonly Cell[],
  threads: number,
  context: StageContext,
): Promise<EnergyFigures> {
  context.progress({ fraction: 0.96, phase: 'energy' });
  const meter = EnergyMeter.open();
  const shape = { batch, sequence, threads };
  const perText = meter
    ? (await countedPerRun(subjects, meter, shape, energy.seconds, context)).map((joules) => joules / batch)
    : estimatedPerText(cells, shape, energy);
  const names = ['candidate', 'baseline'] as const;
  const models = perText.map((joules, i) => ({ subject: names[i], joules, grams: carbonOf(joules, energy) }));
  return { by: meter ? 'counters' : 'estimate', assumptions: energy, ...shape, models };
}

type Condition = Pick<EnergyFigures, 'batch' | 'sequence' | 'threads'>;

async function countedPerRun(
  subjects: readonly (Subject | undefined)[],
  meter: EnergyMeter,
  { batch, sequence, threads }: Condition,
  seconds: number,
  { seed, signal }: StageContext,
): Promise<number[]> {
  const models: LoadedModel[] = [];
  try {
    for (const subject of subjects) if (subject) models.push(await subject.load(threads));
    const works = models.map((model) => model.synthetic({ batch, sequence }, seed));
    for (const work of works) await work();
    return await measureEnergy(works, meter, seconds, signal);
  } finally {
    for (const model of models) await model.release();
  }
}

function estimatedPerText(
  cells: readonly Cell[],
  { batch, sequence, threads }: Condition,
  assumptions: EnergyAssumptions,
): number[] {
  const cell = cells.find((one) => one.batch === batch && one.sequence === sequence && one.threads === threads);
  return [cell?.candidate, cell?.baseline].flatMap((latency) =>
    latency ? [estimateEnergy(latency.throughput, threads, assumptions)] : [],
  );
}
