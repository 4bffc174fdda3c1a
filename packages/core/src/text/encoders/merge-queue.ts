/** A binary min-heap of candidate merges, ordered by rank, then by position. Each merge is one number: rank * 2^32 + position. */
export class MergeQueue {
  readonly #heap: number[] = [];

  push(rank: number, position: number): void {
    const heap = this.#heap;
    const key = rank * 2 ** 32 + position;
    let i = heap.push(key) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent];
      if (above <= key) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = key;
  }

  /** Removes the first merge; undefined when empty. */
  pop(): { rank: number; position: number } | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined) return undefined;
    if (heap.length > 0) this.#sinkFromRoot(last);
    return { rank: Math.floor(top / 2 ** 32), position: top % 2 ** 32 };
  }

  #sinkFromRoot(key: number): void {
    const heap = this.#heap;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      const right = child + 1;
      if (right < heap.length && heap[right] < heap[child]) child = right;
      const below = heap[child];
      if (below >= key) break;
      heap[i] = below;
      i = child;
    }
    heap[i] = key;
  }
}
