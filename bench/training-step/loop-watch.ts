/** @file How long the event loop could not run, and how much of that was this thread's own work. */
import { closeSync, existsSync, openSync, readSync } from 'node:fs';

export interface LoopFigures {
  /** The longest time between two turns of the loop, less the timer's own millisecond. */
  readonly heldMs: number;
  /**
   * The most CPU time of the main thread between two turns: its longest synchronous section, whatever else the machine
   * is doing. Linux only, exact to a few milliseconds.
   */
  readonly busyMs?: number;
}

/** Of the main thread, as the scheduler accounts it: nanoseconds on a CPU first. */
const SCHEDULER_FILE = `/proc/self/task/${process.pid}/schedstat`;

/** Watches from construction until `end`. */
export class LoopWatch {
  private readonly file = existsSync(SCHEDULER_FILE) ? openSync(SCHEDULER_FILE, 'r') : undefined;
  private readonly buffer = Buffer.alloc(64);
  private readonly timer = setInterval(() => this.turn(), 1);
  private held = 0;
  private busy = 0;
  private lastTurn = performance.now();
  private lastCpu = this.cpuMs();

  end(): LoopFigures {
    this.turn();
    clearInterval(this.timer);
    if (this.file === undefined) return { heldMs: this.held };
    closeSync(this.file);
    return { heldMs: this.held, busyMs: this.busy };
  }

  private turn(): void {
    const [now, cpu] = [performance.now(), this.cpuMs()];
    this.held = Math.max(this.held, now - this.lastTurn - 1);
    this.busy = Math.max(this.busy, cpu - this.lastCpu);
    [this.lastTurn, this.lastCpu] = [now, cpu];
  }

  private cpuMs(): number {
    if (this.file === undefined) return 0;
    const length = readSync(this.file, this.buffer, 0, this.buffer.length, 0);
    return Number(this.buffer.toString('latin1', 0, length).split(' ')[0]) / 1e6;
  }
}
