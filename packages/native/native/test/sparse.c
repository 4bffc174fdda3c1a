/** @file The sparse product against the dense one in float64, and packs that were damaged on purpose. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static const mp_sparse_pattern PATTERNS[] = {MP_SPARSE_UNSTRUCTURED, MP_SPARSE_1X16, MP_SPARSE_4X1, MP_SPARSE_1X16_INT8};
static const size_t WIDTHS[] = {1, 16, 4, 16};
enum { PATTERN_COUNT = sizeof PATTERNS / sizeof *PATTERNS };

typedef struct {
  size_t k, n;
  float *dense;
  size_t bytes;
  void *pack;
} weight;

/** W [k, n] whose tiles of 1 x WIDTHS[pattern] stay with the given probability, packed. */
static weight random_weight(size_t pattern, size_t k, size_t n, size_t kept_of_100) {
  weight w = {.k = k, .n = n, .dense = random_floats(k * n)};
  for (size_t input = 0; input < k; input++) {
    for (size_t first = 0; first < n; first += WIDTHS[pattern]) {
      if (random_below(100) < kept_of_100) continue;
      for (size_t i = first; i < n && i < first + WIDTHS[pattern]; i++) w.dense[input * n + i] = 0;
    }
  }
  w.bytes = mp_sparse_pack_size(PATTERNS[pattern], w.dense, k, n);
  w.pack = scratch_of(w.bytes);
  CHECK(mp_sparse_pack(PATTERNS[pattern], w.dense, k, n, w.pack, w.bytes) == MP_OK, "%zux%zu", k, n);
  return w;
}

/** Rounds `count` numbers, `stride` apart, to 127 steps of the largest on each side of zero. */
static void round_to_int8(const float *from, double *to, size_t count, size_t stride) {
  float largest = 0;
  for (size_t i = 0; i < count; i++) largest = fmaxf(largest, fabsf(from[i * stride]));
  for (size_t i = 0; i < count; i++) {
    to[i * stride] = largest > 0 ? rintf(from[i * stride] * (127 / largest)) * (double)(largest / 127) : 0;
  }
}

/** The numbers that a product with W computes with: X and W, or what int8 leaves of them. */
static void operands(const weight *w, size_t pattern, const float *x, size_t m, double *x_used, double *w_used) {
  if (PATTERNS[pattern] == MP_SPARSE_1X16_INT8) {
    for (size_t i = 0; i < m; i++) round_to_int8(x + i * w->k, x_used + i * w->k, w->k, 1);
    for (size_t j = 0; j < w->n; j++) round_to_int8(w->dense + j, w_used + j, w->k, w->n);
    return;
  }
  for (size_t i = 0; i < m * w->k; i++) x_used[i] = x[i];
  for (size_t i = 0; i < w->k * w->n; i++) w_used[i] = w->dense[i];
}

static void check_product(mp_cpu cpu, size_t pattern) {
  static const size_t KEPT[] = {0, 5, 20, 60, 100};
  const size_t m = random_size(260);
  const weight w = random_weight(pattern, random_size(300), random_size(300), KEPT[random_below(5)]);
  char what[120];
  snprintf(what, sizeof what, "sparse %s pattern %d %zux%zux%zu", mp_cpu_name(cpu), (int)PATTERNS[pattern], m, w.k, w.n);

  mp_sparse_info info;
  CHECK(mp_sparse_check(w.pack, w.bytes, &info) == MP_OK, "%s", what);
  CHECK(info.k == w.k && info.n == w.n && info.pattern == PATTERNS[pattern], "%s", what);
  size_t non_zero = 0;
  for (size_t i = 0; i < w.k * w.n; i++) non_zero += w.dense[i] != 0;
  CHECK(info.stored >= non_zero, "%s: %zu stored of %zu", what, info.stored, non_zero);

  float *x = random_floats(m * w.k), *bias = random_below(2) ? random_floats(w.n) : NULL;
  float *y = random_floats(m * w.n), *again = random_floats(m * w.n);
  double *expected = malloc((m * w.n + 1) * sizeof *expected), *tolerance = malloc((m * w.n + 1) * sizeof *tolerance);
  double *x_used = malloc((m * w.k + 1) * sizeof *x_used), *w_used = malloc((w.k * w.n + 1) * sizeof *w_used);
  operands(&w, pattern, x, m, x_used, w_used);
  for (size_t i = 0; i < m; i++) {
    for (size_t j = 0; j < w.n; j++) {
      double sum = bias ? bias[j] : 0;
      for (size_t p = 0; p < w.k; p++) sum += x_used[i * w.k + p] * w_used[p * w.n + j];
      expected[i * w.n + j] = sum;
      tolerance[i * w.n + j] = 0x1p-23 * ((double)w.k + 2);
    }
  }
  const mp_context one = context_of(cpu, 1);
  const mp_context more = context_of(cpu, 2 + random_below(3));
  void *scratch = scratch_of(mp_sparse_gemm_scratch(&one, &info, m));
  CHECK(mp_sparse_gemm(&one, w.pack, x, m, bias, y, scratch) == MP_OK, "%s", what);
  check_close(what, y, expected, tolerance, m * w.n);
  CHECK(mp_sparse_gemm(&more, w.pack, x, m, bias, again, scratch) == MP_OK, "%s", what);
  check_same(what, again, y, m * w.n);
  free(scratch);
  free(w_used);
  free(x_used);
  free(tolerance);
  free(expected);
  release(again);
  release(y);
  if (bias) release(bias);
  release(x);
  free(w.pack);
  release(w.dense);
}

/** A damaged pack is refused, or describes another weight that is as safe to multiply with. */
static size_t check_damage(size_t pattern) {
  const weight w = random_weight(pattern, 1 + random_below(60), 1 + random_below(60), 30);
  const size_t cut = random_below(4) == 0 ? random_below(w.bytes) : w.bytes;
  unsigned char *damaged = scratch_of(cut);
  memcpy(damaged, w.pack, cut);
  for (size_t changes = random_below(3) + 1; changes > 0 && cut > 0; changes--) {
    const size_t at = random_below(2) ? random_below(cut < 256 ? cut : 256) : random_below(cut);
    damaged[at] = random_below(2) ? (unsigned char)random_below(256) : (unsigned char)(damaged[at] ^ (1u << random_below(8)));
  }
  mp_sparse_info info;
  const mp_status status = mp_sparse_check(damaged, cut, &info);
  CHECK(status == MP_OK || status == MP_CORRUPT, "status %d", (int)status);
  /* More inputs than before are no contradiction, so k may be any number. */
  if (status == MP_OK && info.k < 70000) {
    const mp_context context = context_of(mp_cpu_best(), 1);
    const size_t m = 3 + random_below(60);
    float *x = random_floats(m * info.k), *y = floats(m * info.n);
    void *scratch = scratch_of(mp_sparse_gemm_scratch(&context, &info, m));
    CHECK(mp_sparse_gemm(&context, damaged, x, m, NULL, y, scratch) == MP_OK, "damaged");
    free(scratch);
    release(y);
    release(x);
  }
  free(damaged);
  free(w.pack);
  release(w.dense);
  return status == MP_CORRUPT;
}

void test_sparse(void) {
  static const mp_cpu levels[] = {MP_CPU_SCALAR, MP_CPU_AVX512};
  for (size_t pattern = 0; pattern < PATTERN_COUNT; pattern++) {
    for (size_t level = 0; level < 2; level++) {
      if (!mp_cpu_supports(levels[level])) {
        printf("sparse: %s is not supported here\n", mp_cpu_name(levels[level]));
        continue;
      }
      for (int round = 0; round < 60; round++) check_product(levels[level], pattern);
    }
    size_t refused = 0;
    for (int round = 0; round < 3000; round++) refused += check_damage(pattern);
    CHECK(refused > 300, "only %zu of 3000 damaged packs were refused", refused);
  }
  mp_sparse_info info;
  char short_pack[1];
  CHECK(mp_sparse_check(short_pack, 0, &info) == MP_CORRUPT, "no bytes");
  CHECK(mp_sparse_pack_size((mp_sparse_pattern)7, NULL, 1, 1) == 0, "an unknown pattern");
}
