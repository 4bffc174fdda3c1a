/** @file The bfloat16 product against the float64 product of operands that were rounded by arithmetic, not by bits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/** Nearest bfloat16, ties to even; denormals become zero. */
static double rounded(double value) {
  if (!isfinite(value) || fabs(value) < 0x1p-126) return isfinite(value) ? 0.0 : value;
  int exponent;
  const double fraction = frexp(value, &exponent);
  const double nearest = ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);
  return fabs(nearest) >= 0x1p128 ? copysign(INFINITY, nearest) : nearest;
}

/** @param before what Y held, for `accumulate` */
static void reference(const mp_gemm_shape *s, const float *a, const float *b, const float *bias, const float *before,
                      double *y, double *tolerance) {
  for (size_t item = 0; item < s->batch; item++, a += s->m * s->k, b += s->k * s->n) {
    for (size_t i = 0; i < s->m; i++) {
      for (size_t j = 0; j < s->n; j++) {
        double sum = 0;
        double size = 0;
        for (size_t p = 0; p < s->k; p++) {
          const double term = rounded(s->transpose_a ? a[p * s->m + i] : a[i * s->k + p]) *
                              rounded(s->transpose_b ? b[j * s->k + p] : b[p * s->n + j]);
          sum += term;
          size += fabs(term);
        }
        *y++ = s->alpha * sum + (s->accumulate ? *before : bias ? bias[j] : 0);
        before++;
        *tolerance++ = 0x1p-23 * ((double)s->k + 2) * (fabs((double)s->alpha) * size + 1);
      }
    }
  }
}

static void check_shape(const mp_gemm_shape *s, mp_cpu cpu) {
  const size_t bytes = s->batch * s->m * s->n * sizeof(float);
  const size_t count = s->batch * s->m * s->n;
  float *a = random_floats(s->batch * s->m * s->k);
  float *b = random_floats(s->batch * s->k * s->n);
  float *bias = !s->accumulate && random_below(2) ? random_floats(s->n) : NULL;
  float *before = random_floats(count);
  float *y = floats(count);
  float *again = floats(count);
  memcpy(y, before, bytes);
  memcpy(again, before, bytes);
  double *expected = malloc((count + 1) * sizeof *expected);
  double *tolerance = malloc((count + 1) * sizeof *tolerance);
  reference(s, a, b, bias, before, expected, tolerance);
  char what[160];
  snprintf(what, sizeof what, "%s %zu x %zux%zux%zu %c%c", mp_cpu_name(cpu), s->batch, s->m, s->k, s->n,
           s->transpose_a ? 'T' : 'N', s->transpose_b ? 'T' : 'N');

  const mp_context one = context_of(cpu, 1);
  void *scratch = scratch_of(mp_bf16_gemm_scratch(&one, s));
  CHECK(mp_bf16_gemm(&one, s, a, b, bias, y, scratch) == MP_OK, "%s", what);
  check_close(what, y, expected, tolerance, count);

  const mp_context more = context_of(cpu, 2 + random_below(3));
  CHECK(mp_bf16_gemm(&more, s, a, b, bias, again, scratch) == MP_OK, "%s", what);
  check_same(what, again, y, count);
  free(scratch);

  if (s->batch == 1) {
    void *packed = scratch_of(mp_bf16_pack_size(&more, s));
    scratch = scratch_of(mp_bf16_gemm_packed_scratch(&more, s));
    memcpy(again, before, bytes);
    CHECK(mp_bf16_pack(&more, s, b, packed) == MP_OK, "%s", what);
    CHECK(mp_bf16_gemm_packed(&more, s, a, packed, bias, again, scratch) == MP_OK, "%s", what);
    check_same(what, again, y, count);
    free(scratch);
    free(packed);
  }
  free(tolerance);
  free(expected);
  release(again);
  release(y);
  release(before);
  if (bias) release(bias);
  release(b);
  release(a);
}

/** 1 x 1 x 1 products with 1 show the rounding itself. */
static void check_rounding(mp_cpu cpu) {
  static const float values[] = {1.0f,     0x1.01p0f,  0x1.03p0f, 0x1.00fffep0f, 0x1.010002p0f, -0x1.01p0f,        0.0f,
                                 0x1p-126f, 0x1p-130f, -0x1p-140f, 3.4e38f,      INFINITY,      -INFINITY,         NAN,
                                 0x1.fep5f, 0x1.ffp5f, 0x1.fdp5f,  1e-38f,       0x1.8p-126f,   0x1.fffffcp-127f};
  const mp_context context = context_of(cpu, 1);
  const mp_gemm_shape shape = {.batch = 1, .m = 1, .n = 1, .k = 1, .alpha = 1};
  void *scratch = scratch_of(mp_bf16_gemm_scratch(&context, &shape));
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    const float one = 1;
    float y;
    CHECK(mp_bf16_gemm(&context, &shape, &values[i], &one, NULL, &y, scratch) == MP_OK, "value %zu", i);
    const double expected = rounded(values[i]);
    const double exactly = 0;
    check_close("rounding", &y, &expected, &exactly, 1);
  }
  free(scratch);
}

static void check_refusals(void) {
  const mp_context here = context_of(mp_cpu_best(), 1);
  const mp_context elsewhere = context_of(mp_cpu_supports(MP_CPU_NEON) ? MP_CPU_AVX2 : MP_CPU_NEON, 1);
  const mp_gemm_shape huge = {.batch = 1, .m = SIZE_MAX / 2, .n = 8, .k = 8, .alpha = 1};
  const mp_gemm_shape wide = {.batch = (size_t)1 << 40, .m = 1 << 20, .n = 1, .k = 1 << 20, .alpha = 1};
  const mp_gemm_shape small = {.batch = 1, .m = 1, .n = 1, .k = 1, .alpha = 1};
  const mp_gemm_shape pair = {.batch = 2, .m = 1, .n = 1, .k = 1, .alpha = 1};
  CHECK(mp_bf16_gemm(&here, &huge, NULL, NULL, NULL, NULL, NULL) == MP_INVALID, "huge");
  CHECK(mp_bf16_gemm(&here, &wide, NULL, NULL, NULL, NULL, NULL) == MP_INVALID, "wide");
  CHECK(mp_bf16_gemm(&elsewhere, &small, NULL, NULL, NULL, NULL, NULL) == MP_UNSUPPORTED, "other processor");
  CHECK(mp_bf16_pack(&here, &pair, NULL, NULL) == MP_INVALID, "a batch is not packed");
}

void test_gemm(void) {
  static const mp_cpu levels[] = {MP_CPU_SCALAR, MP_CPU_AVX2, MP_CPU_AVX512_BF16};
  for (size_t level = 0; level < sizeof levels / sizeof *levels; level++) {
    const mp_cpu cpu = levels[level];
    if (!mp_cpu_supports(cpu)) {
      printf("gemm: %s is not supported here\n", mp_cpu_name(cpu));
      continue;
    }
    check_rounding(cpu);
    for (int round = 0; round < 150; round++) {
      const mp_gemm_shape shape = {
          .batch = random_below(4) ? 1 : random_below(4),
          .m = random_size(300),
          .n = random_size(300),
          .k = random_size(900),
          .transpose_a = (int)random_below(2),
          .transpose_b = (int)random_below(2),
          .alpha = random_below(2) ? 1.0f : random_float(),
          .accumulate = random_below(4) == 0,
      };
      check_shape(&shape, cpu);
    }
  }
  check_refusals();
}
