/** @file Energy of running a model: counted by the processor where it can be read, else estimated. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { throwIfAborted } from '../errors';
import type { TimedWork } from './take-turns';

/** What the estimate takes for true; all of it is stated with the figure. */
export interface EnergyAssumptions {
  /** Power of one busy core with its share of the package. */
  readonly wattsPerCore: number;
  /** Carbon dioxide equivalent of a kilowatt-hour. */
  readonly gramsPerKwh: number;
}

/** Where Linux shows running average power limit (RAPL) counters. */
const POWERCAP = '/sys/class/powercap';

interface Counter {
  readonly path: string;
  /** Microjoules at which it starts again. */
  readonly range: number;
}

/** The energy counters of all processor packages. */
export class EnergyMeter {
  private readonly last: number[];
  private total = 0;

  private constructor(private readonly counters: readonly Counter[]) {
    this.last = counters.map(({ path }) => readNumber(path));
  }

  /** Undefined where the system has no counters or does not let this process read them. */
  static open(folder = POWERCAP): EnergyMeter | undefined {
    if (!existsSync(folder)) return undefined;
    // intel-rapl:0 is a package (AMD's too); intel-rapl:0:1 is a part of it.
    const packages = readdirSync(folder).filter((name) => /^intel-rapl:\d+$/.test(name));
    try {
      const counters = packages.map((name) => ({
        path: join(folder, name, 'energy_uj'),
        range: readNumber(join(folder, name, 'max_energy_range_uj')),
      }));
      return counters.length > 0 ? new EnergyMeter(counters) : undefined;
    } catch {
      return undefined;
    }
  }

  /** Joules since it was opened, of everything that ran on the machine. Read it more often than counters wrap. */
  joules(): number {
    this.counters.forEach(({ path, range }, i) => {
      const now = readNumber(path);
      this.total += now >= this.last[i] ? now - this.last[i] : now + range - this.last[i];
      this.last[i] = now;
    });
    return this.total / 1e6;
  }
}

function readNumber(path: string): number {
  const value = Number(readFileSync(path, 'utf8'));
  if (!Number.isFinite(value)) throw new TypeError(`${path} holds no number`);
  return value;
}

/** Time that one work runs before the next has its turn: long against the counters' step of a millisecond. */
const TURN_SECONDS = 0.25;

/** Joules of one execution of each work, idle power included; the works take turns. */
export async function measureEnergy(
  works: readonly TimedWork[],
  meter: EnergyMeter,
  seconds: number,
  signal?: AbortSignal,
): Promise<number[]> {
  const used = works.map(() => ({ joules: 0, runs: 0 }));
  const end = performance.now() + 1000 * seconds;
  do {
    for (const [i, work] of works.entries()) {
      throwIfAborted(signal);
      const before = meter.joules();
      const turnEnd = performance.now() + 1000 * TURN_SECONDS;
      do {
        await work();
        used[i].runs++;
      } while (performance.now() < turnEnd);
      used[i].joules += meter.joules() - before;
      await new Promise(setImmediate);
    }
  } while (performance.now() < end);
  return used.map(({ joules, runs }) => joules / runs);
}

/** Joules of one text at this throughput, by the assumed power. */
export const estimateEnergy = (
  textsPerSecond: number,
  threads: number,
  { wattsPerCore }: Pick<EnergyAssumptions, 'wattsPerCore'>,
): number => (wattsPerCore * threads) / textsPerSecond;

const JOULES_PER_KWH = 3.6e6;

/** Grams of carbon dioxide equivalent. */
export const carbonOf = (joules: number, { gramsPerKwh }: Pick<EnergyAssumptions, 'gramsPerKwh'>): number =>
  (joules / JOULES_PER_KWH) * gramsPerKwh;
