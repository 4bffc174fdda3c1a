/** @file Tasks over the threads of a context. */
#ifndef MODELPRESS_SPREAD_H
#define MODELPRESS_SPREAD_H

#include "kernels.h"

static inline size_t mp_divide_up(size_t a, size_t b) {
  return a / b + (a % b != 0);
}

static inline size_t mp_smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/** Calls `task` for 0..total-1. A single task, or a context without `run`, stays on this thread. */
static inline void mp_spread(const mp_context *context, void (*task)(void *, size_t), size_t total, void *argument) {
  if (total > 1 && context->parallel.run != NULL) {
    context->parallel.run(context->parallel.pool, task, total, 0, argument);
    return;
  }
  for (size_t index = 0; index < total; index++) task(argument, index);
}

#endif
