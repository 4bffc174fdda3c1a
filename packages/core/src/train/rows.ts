/** @file Embedding tables: gradients come as one row per token, and most rows of the table are in no batch. */
import { adamwAddresses } from './kernels/kernels';
import type { AdamwScalars } from './kernels/kernels';
import type { KernelWork } from './kernels/work';
import type { ParameterSlot } from './slabs';

/**
 * Collects the row gradients of one table and updates it. Outside of `touched` rows the gradient is zero; outside of
 * `used` rows both moments are zero too, so that AdamW reduces to the decay there, with equal bits.
 */
export class RowGradients {
  private readonly width: number;
  private readonly rowCount: number;
  /** Rows of the present step, each once, in order of first occurrence. */
  private touched: number[] = [];
  private readonly isTouched: Uint8Array;
  /** Rows that ever had a gradient. */
  private readonly isUsed: Uint8Array;

  constructor(private readonly slot: ParameterSlot) {
    this.rowCount = slot.dims[0];
    this.width = slot.size / this.rowCount;
    this.isTouched = new Uint8Array(this.rowCount);
    this.isUsed = new Uint8Array(this.rowCount);
    this.findUsed();
  }

  /** gradient[ids[r], :] += rows[r, :]; negative ids count from the end, as in ONNX Gather. */
  add(ids: ArrayLike<number | bigint>, rows: Float32Array): void {
    const { width, slot } = this;
    for (let r = 0; r < ids.length; r++) {
      const id = Number(ids[r]);
      const row = id < 0 ? id + this.rowCount : id;
      if (!this.isTouched[row]) {
        this.isTouched[row] = 1;
        this.isUsed[row] = 1;
        this.touched.push(row);
      }
      const target = row * width;
      const source = r * width;
      for (let i = 0; i < width; i++) slot.gradient[target + i] += rows[source + i];
    }
  }

  sumSquares(work: KernelWork): void {
    const { memory, at } = this.slot;
    for (const row of this.touched) {
      work.add(memory, { kernel: 'sumSquares', source: at.gradient + row * this.width * 4, count: this.width });
    }
  }

  /** AdamW on the whole table, as if the gradient were dense. */
  updateAll(work: KernelWork, scalars: AdamwScalars): void {
    let start = 0;
    while (start < this.rowCount) {
      let end = start + 1;
      while (end < this.rowCount && this.isUsed[end] === this.isUsed[start]) end++;
      if (this.isUsed[start]) this.adamw(work, start, end - start, scalars);
      else if (scalars.keep !== 1) this.decay(work, start, end - start, scalars.keep);
      start = end;
    }
  }

  /** AdamW on the rows of this step only ("lazy Adam"): others neither decay nor move by momentum. */
  updateTouched(work: KernelWork, scalars: AdamwScalars): void {
    for (const row of this.touched) this.adamw(work, row, 1, scalars);
  }

  /** Zeroes the gradient for the next step. */
  clear(): void {
    for (const row of this.touched) {
      this.slot.gradient.fill(0, row * this.width, (row + 1) * this.width);
      this.isTouched[row] = 0;
    }
    this.touched = [];
  }

  /** Reads from the moments which rows ever had a gradient. */
  findUsed(): void {
    const { firstMoment, secondMoment } = this.slot;
    for (let row = 0; row < this.rowCount; row++) {
      const isZero = (moment: Float32Array): boolean =>
        moment.subarray(row * this.width, (row + 1) * this.width).every((x) => x === 0);
      this.isUsed[row] = isZero(firstMoment) && isZero(secondMoment) ? 0 : 1;
    }
  }

  private adamw(work: KernelWork, row: number, count: number, scalars: AdamwScalars): void {
    const { at, memory } = this.slot;
    const first = row * this.width;
    work.addInBlocks(memory, count * this.width, (start, size) => {
      return { kernel: 'adamw', at: adamwAddresses(at, first + start), count: size, scalars };
    });
  }

  private decay(work: KernelWork, row: number, count: number, keep: number): void {
    const { at, memory } = this.slot;
    const address = at.weight + row * this.width * 4;
    work.addInBlocks(memory, count * this.width, (start, size) => {
      return { kernel: 'scale', target: address + start * 4, count: size, factor: keep };
    });
  }
}
