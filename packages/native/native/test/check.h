/** @file What the kernel tests share: seeded random numbers, guarded memory, a thread pool, and failures. */
#ifndef MODELPRESS_CHECK_H
#define MODELPRESS_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

/** Prints where and what, and ends the process with status 1. */
#define CHECK(condition, ...) \
  do { \
    if (!(condition)) check_failed(__FILE__, __LINE__, #condition, __VA_ARGS__); \
  } while (0)

__attribute__((noreturn, format(printf, 4, 5))) void check_failed(const char *file, int line, const char *condition,
                                                                  const char *message, ...);

/** Uniform in [0, limit). */
size_t random_below(size_t limit);
/** Uniform in [-1, 1). */
float random_float(void);
/** One of the numbers given, mostly small, now and then past a block of the kernels. */
size_t random_size(size_t largest);

/** Exactly `count` floats, not aligned to more than a float: the sanitizer sees every read beyond. Ended by `release`. */
float *floats(size_t count);
float *random_floats(size_t count);
void release(float *memory);
/** Aligned to MP_ALIGNMENT; at least one byte. Ended by free(). */
void *scratch_of(size_t bytes);

/** A context whose `run` spreads tasks over `threads` threads of its own. */
mp_context context_of(mp_cpu cpu, size_t threads);

/** |got - expected| <= tolerance, NaN only where NaN is expected. */
void check_close(const char *what, const float *got, const double *expected, const double *tolerance, size_t count);
void check_same(const char *what, const float *got, const float *expected, size_t count);

void test_gemm(void);
void test_elementwise(void);
void test_rows(void);
void test_sparse(void);
void test_slabs(void);

#endif
