/** @file Lists in pages. */

/** One page of a list, newest first. `next` is the cursor of the following page. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

export interface PageRequest {
  /** `next` of the page before. */
  readonly cursor?: string;
  /** 1 to 200, default 50. */
  readonly limit?: number;
}
