/** @file GELU against the formula with the C library's erf and tanh. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static double gelu(mp_gelu_kind kind, double x) {
  if (kind == MP_GELU_ERF) return x * 0.5 * erfc(-x * M_SQRT1_2);
  return x * 0.5 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double derivative(mp_gelu_kind kind, double x) {
  if (kind == MP_GELU_ERF) return 0.5 * erfc(-x * M_SQRT1_2) + x * exp(-x * x / 2) / sqrt(2 * M_PI);
  const double u = sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
  const double slope = sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
  return 0.5 * (1 + tanh(u)) + x * 0.5 * (1 - tanh(u) * tanh(u)) * slope;
}

static void check_count(mp_cpu cpu, mp_gelu_kind kind, size_t count, float range) {
  const mp_context context = context_of(cpu, 1 + random_below(4));
  float *x = random_floats(count);
  float *dy = random_floats(count);
  float *got = floats(count);
  double *expected = malloc((count + 1) * sizeof *expected);
  double *tolerance = malloc((count + 1) * sizeof *tolerance);
  for (size_t i = 0; i < count; i++) {
    x[i] *= range;
    expected[i] = gelu(kind, x[i]);
    tolerance[i] = 4e-7 * (1 + fabs((double)x[i]));
  }
  CHECK(mp_gelu(&context, kind, x, got, count) == MP_OK, "%s", mp_cpu_name(cpu));
  check_close("gelu", got, expected, tolerance, count);
  memcpy(got, x, count * sizeof *x);
  CHECK(mp_gelu(&context, kind, got, got, count) == MP_OK, "%s", mp_cpu_name(cpu));
  check_close("gelu in place", got, expected, tolerance, count);

  for (size_t i = 0; i < count; i++) {
    expected[i] = dy[i] * derivative(kind, x[i]);
    tolerance[i] = 1e-6 * (1 + fabs((double)x[i]));
  }
  CHECK(mp_gelu_grad(&context, kind, x, dy, got, count) == MP_OK, "%s", mp_cpu_name(cpu));
  check_close("gelu gradient", got, expected, tolerance, count);
  CHECK(mp_gelu_grad(&context, kind, x, dy, dy, count) == MP_OK, "%s", mp_cpu_name(cpu));
  check_same("gelu gradient in place", dy, got, count);
  free(tolerance);
  free(expected);
  release(got);
  release(dy);
  release(x);
}

void test_elementwise(void) {
  for (mp_cpu cpu = MP_CPU_SCALAR; cpu <= MP_CPU_AVX512_BF16; cpu++) {
    if (!mp_cpu_supports(cpu)) {
      printf("elementwise: %s is not supported here\n", mp_cpu_name(cpu));
      continue;
    }
    for (int round = 0; round < 40; round++) {
      const mp_gelu_kind kind = round % 2 ? MP_GELU_TANH : MP_GELU_ERF;
      check_count(cpu, kind, random_size(40000), round % 4 < 2 ? 4 : 40);
    }
  }
}
