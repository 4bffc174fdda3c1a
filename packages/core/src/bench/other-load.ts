/** @file How much of the machine other processes used meanwhile. */
import { cpus } from 'node:os';
import { performance } from 'node:perf_hooks';

/** Milliseconds that all cores together were not idle. */
const busyMilliseconds = (): number =>
  cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);

/** Watches the machine from its making on. */
export class OtherLoad {
  private readonly busy = busyMilliseconds();
  private readonly own = process.cpuUsage();
  private readonly start = performance.now();

  /** Share (0..1) of all cores that other processes have used since; 0 where the system does not count. */
  share(): number {
    const { user, system } = process.cpuUsage(this.own);
    const others = busyMilliseconds() - this.busy - (user + system) / 1000;
    const available = (performance.now() - this.start) * cpus().length;
    return available > 0 ? Math.min(1, Math.max(0, others / available)) : 0;
  }
}
