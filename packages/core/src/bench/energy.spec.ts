import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { carbonOf, EnergyMeter, estimateEnergy, measureEnergy } from './energy';

/** A folder as Linux shows it: two packages, and a part of the first that must not be counted twice. */
function powercap(): { folder: string; set: (name: string, microjoules: number) => void } {
  const folder = mkdtempSync(join(tmpdir(), 'powercap-'));
  const set = (name: string, microjoules: number): void =>
    writeFileSync(join(folder, name, 'energy_uj'), `${microjoules}\n`);
  for (const name of ['intel-rapl:0', 'intel-rapl:1', 'intel-rapl:0:0']) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'max_energy_range_uj'), '10000000\n');
    set(name, 9_000_000);
  }
  return { folder, set };
}

describe('energy', () => {
  it('adds up packages, through the wrap of a counter', () => {
    const { folder, set } = powercap();
    const meter = EnergyMeter.open(folder)!;
    set('intel-rapl:0', 9_500_000);
    set('intel-rapl:0:0', 9_900_000);
    expect(meter.joules()).toBeCloseTo(0.5);
    set('intel-rapl:0', 500_000);
    set('intel-rapl:1', 9_250_000);
    expect(meter.joules()).toBeCloseTo(0.5 + 1 + 0.25);
  });

  it('is not there where nothing can be read', () => {
    expect(EnergyMeter.open(join(tmpdir(), 'no-such-folder'))).toBeUndefined();
    expect(EnergyMeter.open(mkdtempSync(join(tmpdir(), 'powercap-')))).toBeUndefined();
  });

  it('gives each work what the counters moved in its turns', async () => {
    const { folder, set } = powercap();
    const meter = EnergyMeter.open(folder)!;
    let at = 9_000_000;
    const spend = (microjoules: number) => async (): Promise<void> => {
      at = (at + microjoules) % 10_000_000;
      set('intel-rapl:0', at);
      await new Promise((resolve) => setTimeout(resolve, 20));
    };
    const [little, much] = await measureEnergy([spend(1000), spend(3000)], meter, 0);
    expect(little).toBeCloseTo(0.001);
    expect(much).toBeCloseTo(0.003);
  });

  it('estimates from power and throughput, and turns energy into carbon', () => {
    expect(estimateEnergy(100, 2, { wattsPerCore: 5 })).toBe(0.1);
    expect(carbonOf(3.6e6, { gramsPerKwh: 480 })).toBe(480);
  });
});
