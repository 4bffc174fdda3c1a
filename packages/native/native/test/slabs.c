/** @file Loops over parameters: the same bits at every level and on any number of threads, near float64. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { CALLS = 7, ARRAYS = 5 };

typedef struct {
  float *arrays[ARRAYS];
  uint8_t *masks;
  mp_slab_call calls[CALLS];
} example;

/** One call of each kernel; each reads the random arrays and writes one of its own. */
static example make_example(size_t count) {
  example e;
  for (int i = 0; i < ARRAYS; i++) e.arrays[i] = random_floats(count);
  for (size_t i = 0; i < count; i++) e.arrays[3][i] = fabsf(e.arrays[3][i]);
  e.masks = malloc(count + 1);
  for (size_t i = 0; i < count; i++) e.masks[i] = random_below(2) != 0;
  const mp_adamw_scalars scalars = {0.5f, 0.999f, 0.1f, 0.98f, 0.02f, 1e-2f, 1e-6f};
  float *const *a = e.arrays;
  const mp_slab_call calls[CALLS] = {
      {.kernel = MP_SLAB_ADAMW, .target = a[0], .source = a[4], .first_moment = a[2], .second_moment = a[3],
       .adamw = scalars},
      {.kernel = MP_SLAB_ACCUMULATE, .target = a[1], .source = a[4]},
      {.kernel = MP_SLAB_SCALE, .target = a[1], .factor = 1.7f},
      {.kernel = MP_SLAB_EMA, .target = a[1], .source = a[4], .factor = 0.3f},
      {.kernel = MP_SLAB_SUM_SQUARES, .source = a[4]},
      {.kernel = MP_SLAB_MASK, .target = a[1], .masks = e.masks},
      {.kernel = MP_SLAB_DROPOUT_MASK, .target = a[1], .factor = 1.25f, .key = {77, 0xfedcba98u}, .threshold = 20000},
  };
  memcpy(e.calls, calls, sizeof calls);
  for (int i = 0; i < CALLS; i++) e.calls[i].count = count;
  return e;
}

static void free_example(example *e) {
  for (int i = 0; i < ARRAYS; i++) release(e->arrays[i]);
  free(e->masks);
}

/** The arrays as they are, one behind the other. */
static float *snapshot(const example *e, size_t count) {
  float *copy = floats(ARRAYS * count);
  for (int i = 0; i < ARRAYS; i++) memcpy(copy + i * count, e->arrays[i], count * sizeof(float));
  return copy;
}

static void restore(example *e, const float *copy, size_t count) {
  for (int i = 0; i < ARRAYS; i++) memcpy(e->arrays[i], copy + i * count, count * sizeof(float));
}

static void check_float64(const example *e, const float *before, const float *after, size_t count) {
  const mp_adamw_scalars s = e->calls[0].adamw;
  double *expected = malloc((count + 1) * sizeof *expected);
  double *tolerance = malloc((count + 1) * sizeof *tolerance);
  double squares = 0;
  for (size_t i = 0; i < count; i++) {
    const double w = before[i], g = before[4 * count + i] * (double)s.scale;
    const double m = before[2 * count + i] + s.one_minus_beta1 * (g - before[2 * count + i]);
    const double v = s.beta2 * (double)before[3 * count + i] + s.one_minus_beta2 * g * g;
    expected[i] = w * s.keep - s.step_size * m / (sqrt(v) + s.epsilon);
    tolerance[i] = 1e-6 * (1 + fabs(expected[i]));
    squares += before[4 * count + i] * (double)before[4 * count + i];
  }
  check_close("adamw", after, expected, tolerance, count);
  CHECK(fabs(e->calls[4].result - squares) <= 1e-12 * squares, "square norm %.17g, expected %.17g", e->calls[4].result,
        squares);
  free(tolerance);
  free(expected);
}

static void check_count(size_t count) {
  example e = make_example(count);
  float *before = snapshot(&e, count);
  float *expected = NULL;
  double squares = 0;
  for (mp_cpu cpu = MP_CPU_SCALAR; cpu <= MP_CPU_AVX512_BF16; cpu++) {
    if (!mp_cpu_supports(cpu)) continue;
    const mp_context context = context_of(cpu, 1 + random_below(4));
    restore(&e, before, count);
    for (int i = 0; i < CALLS; i++) {
      CHECK(mp_slab_calls(&context, &e.calls[i], 1) == MP_OK, "%s", mp_cpu_name(cpu));
    }
    float *after = snapshot(&e, count);
    if (expected == NULL) {
      check_float64(&e, before, after, count);
      expected = after;
      squares = e.calls[4].result;
      continue;
    }
    check_same(mp_cpu_name(cpu), after, expected, ARRAYS * count);
    CHECK(e.calls[4].result == squares, "square norm at %s", mp_cpu_name(cpu));
    release(after);
  }
  release(expected);
  release(before);
  free_example(&e);
}

/** Many calls at once, over pieces of one array, equal one call over the whole. */
static void check_threads(size_t count) {
  enum { PIECE = 64, MOST = 200 };
  const size_t pieces = count / PIECE < MOST ? count / PIECE : MOST;
  float *target = random_floats(count), *whole = floats(count), *source = random_floats(count);
  memcpy(whole, target, count * sizeof(float));
  mp_slab_call calls[MOST];
  for (size_t i = 0; i < pieces; i++) {
    calls[i] = (mp_slab_call){.kernel = MP_SLAB_EMA, .count = i + 1 < pieces ? PIECE : count - PIECE * i,
                              .target = target + PIECE * i, .source = source + PIECE * i, .factor = 0.3f};
  }
  const mp_context context = context_of(mp_cpu_best(), 4);
  CHECK(mp_slab_calls(&context, calls, pieces) == MP_OK, "pieces");
  mp_slab_call once = {.kernel = MP_SLAB_EMA, .count = count, .target = whole, .source = source, .factor = 0.3f};
  CHECK(mp_slab_calls(&context, &once, 1) == MP_OK, "once");
  check_same("pieces", target, whole, count);
  release(source);
  release(whole);
  release(target);
}

void test_slabs(void) {
  for (int round = 0; round < 60; round++) check_count(random_size(5000));
  for (int round = 0; round < 10; round++) check_threads(64 + random_below(20000));
}
