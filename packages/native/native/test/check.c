#include "check.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check_failed(const char *file, int line, const char *condition, const char *message, ...) {
  va_list arguments;
  va_start(arguments, message);
  fprintf(stderr, "%s:%d: %s: ", file, line, condition);
  vfprintf(stderr, message, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

/** SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t random_bits(void) {
  static uint64_t state = 20261122;
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

size_t random_below(size_t limit) {
  return (size_t)(random_bits() % limit);
}

float random_float(void) {
  return (float)((double)(random_bits() >> 11) * 0x1p-52 - 1.0);
}

size_t random_size(size_t largest) {
  switch (random_below(8)) {
    case 0:
      return random_below(3);
    case 1:
      return random_below(largest + 1);
    default:
      return random_below(largest < 40 ? largest + 1 : 40);
  }
}

static const size_t OFFSET = 1;

float *floats(size_t count) {
  float *memory = malloc((count + OFFSET) * sizeof(float));
  CHECK(memory != NULL, "no memory for %zu floats", count);
  return memory + OFFSET;
}

float *random_floats(size_t count) {
  float *memory = floats(count);
  for (size_t i = 0; i < count; i++) memory[i] = random_float();
  return memory;
}

void release(float *memory) {
  free(memory - OFFSET);
}

void *scratch_of(size_t bytes) {
  void *memory = NULL;
  CHECK(posix_memalign(&memory, MP_ALIGNMENT, bytes == 0 ? 1 : bytes) == 0, "no memory for %zu bytes", bytes);
  memset(memory, 0xff, bytes);
  return memory;
}

typedef struct {
  void (*task)(void *, size_t);
  void *argument;
  size_t total;
  atomic_size_t next;
} work;

static void *worker(void *argument) {
  work *w = argument;
  for (size_t index; (index = atomic_fetch_add(&w->next, 1)) < w->total;) w->task(w->argument, index);
  return NULL;
}

static void run(void *pool, void (*task)(void *, size_t), size_t total, size_t max_batches, void *argument) {
  enum { MOST = 8 };
  (void)max_batches;
  const size_t helpers = (size_t)(uintptr_t)pool - 1;
  CHECK(helpers < MOST, "%zu threads", helpers + 1);
  pthread_t threads[MOST];
  work w = {.task = task, .argument = argument, .total = total};
  for (size_t i = 0; i < helpers; i++) CHECK(pthread_create(&threads[i], NULL, worker, &w) == 0, "thread %zu", i);
  worker(&w);
  for (size_t i = 0; i < helpers; i++) pthread_join(threads[i], NULL);
}

mp_context context_of(mp_cpu cpu, size_t threads) {
  return (mp_context){.cpu = cpu, .parallel = {.run = run, .pool = (void *)(uintptr_t)threads}};
}

void check_close(const char *what, const float *got, const double *expected, const double *tolerance, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const int close = isnan(expected[i]) ? isnan(got[i])
                                         : (double)got[i] == expected[i] || fabs(got[i] - expected[i]) <= tolerance[i];
    CHECK(close, "%s: element %zu of %zu is %.9g, expected %.9g +- %.3g", what, i, count, got[i], expected[i],
          tolerance[i]);
  }
}

void check_same(const char *what, const float *got, const float *expected, size_t count) {
  for (size_t i = 0; i < count; i++) {
    CHECK(memcmp(&got[i], &expected[i], sizeof(float)) == 0, "%s: element %zu of %zu is %.9g, expected exactly %.9g", what,
          i, count, got[i], expected[i]);
  }
}
