/** Beyond this many keys, full buckets are forgotten. */
const MAX_BUCKETS = 10_000;

/** Token buckets in this process's memory: with several API processes the limit holds for each. */
export class RateLimiter {
  private readonly buckets = new Map<string, { tokens: number; at: number }>();

  constructor(
    private readonly limit: { readonly perSecond: number; readonly burst: number },
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Keys that it remembers. */
  get size(): number {
    return this.buckets.size;
  }

  /** Takes a token. @returns 0, or the seconds until there is one. */
  take(key: string): number {
    const bucket = this.refill(key);
    if (bucket.tokens < 1) return (1 - bucket.tokens) / this.limit.perSecond;
    bucket.tokens -= 1;
    return 0;
  }

  /** Seconds until there is a token, without taking one. */
  peek(key: string): number {
    const { tokens } = this.refill(key);
    return tokens < 1 ? (1 - tokens) / this.limit.perSecond : 0;
  }

  private refill(key: string): { tokens: number; at: number } {
    const { perSecond, burst } = this.limit;
    const at = this.now();
    const bucket = this.buckets.get(key) ?? { tokens: burst, at };
    bucket.tokens = Math.min(burst, bucket.tokens + ((at - bucket.at) / 1000) * perSecond);
    bucket.at = at;
    if (!this.buckets.has(key)) {
      if (this.buckets.size >= MAX_BUCKETS) this.forgetFull(at);
      this.buckets.set(key, bucket);
    }
    return bucket;
  }

  private forgetFull(at: number): void {
    const { perSecond, burst } = this.limit;
    for (const [key, bucket] of this.buckets)
      if (bucket.tokens + ((at - bucket.at) / 1000) * perSecond >= burst) this.buckets.delete(key);
  }
}
