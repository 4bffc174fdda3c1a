#include "memory.h"

#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "../kernels/kernels.h"

#define HUGE_PAGE ((size_t)2 << 20)

void scratch_pool_init(scratch_pool *pool, int keep) {
  pthread_mutex_init(&pool->lock, NULL);
  pool->keep = keep;
  for (int i = 0; i < SCRATCH_SLOTS; i++) pool->idle[i] = (scratch_block){NULL, 0};
}

void scratch_pool_destroy(scratch_pool *pool) {
  for (int i = 0; i < SCRATCH_SLOTS; i++) free(pool->idle[i].memory);
  pthread_mutex_destroy(&pool->lock);
}

/** Large blocks lie in huge pages where the system has them: packing writes all of a block once per call. */
static scratch_block allocate(size_t bytes) {
  const size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : MP_ALIGNMENT;
  if (bytes > SIZE_MAX - alignment) return (scratch_block){NULL, 0};
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void *memory = NULL;
  if (posix_memalign(&memory, alignment, rounded) != 0) return (scratch_block){NULL, 0};
#ifdef MADV_HUGEPAGE
  if (alignment == HUGE_PAGE) madvise(memory, rounded, MADV_HUGEPAGE);
#endif
  return (scratch_block){memory, rounded};
}

scratch_block scratch_take(scratch_pool *pool, size_t bytes) {
  scratch_block block = {NULL, 0};
  if (bytes == 0) bytes = 1;
  pthread_mutex_lock(&pool->lock);
  for (int i = 0; i < SCRATCH_SLOTS; i++) {
    if (pool->idle[i].memory == NULL) continue;
    block = pool->idle[i];
    pool->idle[i] = (scratch_block){NULL, 0};
    if (block.bytes >= bytes) break;
    free(block.memory); // too small: it is replaced by the larger one
    block = (scratch_block){NULL, 0};
  }
  pthread_mutex_unlock(&pool->lock);
  return block.memory != NULL ? block : allocate(bytes);
}

void scratch_give(scratch_pool *pool, scratch_block block) {
  if (block.memory == NULL) return;
  if (pool->keep) {
    pthread_mutex_lock(&pool->lock);
    for (int i = 0; i < SCRATCH_SLOTS && block.memory != NULL; i++) {
      if (pool->idle[i].memory != NULL) continue;
      pool->idle[i] = block;
      block.memory = NULL;
    }
    pthread_mutex_unlock(&pool->lock);
  }
  free(block.memory);
}
