/** @file Scratch memory for kernels: aligned, kept between calls, safe from several threads. */
#ifndef MODELPRESS_MEMORY_H
#define MODELPRESS_MEMORY_H

#include <pthread.h>
#include <stddef.h>

/** Enough for the runs of one session that are under way at once; more are served and not kept. */
#define SCRATCH_SLOTS 8

typedef struct {
  void *memory;
  size_t bytes;
} scratch_block;

typedef struct {
  pthread_mutex_t lock;
  /** Blocks that nobody uses. */
  scratch_block idle[SCRATCH_SLOTS];
  /** Whether blocks are kept for the next call. */
  int keep;
} scratch_pool;

void scratch_pool_init(scratch_pool *pool, int keep);
void scratch_pool_destroy(scratch_pool *pool);

/** A block of at least `bytes`, aligned to MP_ALIGNMENT; `memory` is NULL when there is none left. */
scratch_block scratch_take(scratch_pool *pool, size_t bytes);
void scratch_give(scratch_pool *pool, scratch_block block);

#endif
