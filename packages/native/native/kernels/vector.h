/**
 * @file Sixteen floats at a time, in the vector extensions of GCC and Clang: the same source becomes AVX-512, pairs of
 * AVX2 registers, SSE2 or NEON, by the level that the calling function is compiled for (MP_FOR_LEVELS).
 */
#ifndef MODELPRESS_VECTOR_H
#define MODELPRESS_VECTOR_H

#include <stdint.h>
#include <string.h>

#include "kernels.h"
#include "target.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

enum { VECTOR_LANES = 16 };

typedef float vector __attribute__((vector_size(64)));
typedef int32_t integers __attribute__((vector_size(64)));

MP_INLINE vector load(const float *from) {
  vector v;
  memcpy(&v, from, sizeof v);
  return v;
}

MP_INLINE void store(float *to, vector v) {
  memcpy(to, &v, sizeof v);
}

MP_INLINE vector all(float value) {
  return value - (vector){0};
}

MP_INLINE vector choose(integers condition, vector yes, vector no) {
  return (vector)(((integers)yes & condition) | ((integers)no & ~condition));
}

MP_INLINE vector absolute(vector v) {
  return (vector)((integers)v & 0x7fffffff);
}

MP_INLINE float sum_of(vector v) {
  float sums[VECTOR_LANES];
  store(sums, v);
  for (int half = VECTOR_LANES / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; i++) sums[i] += sums[i + half];
  }
  return sums[0];
}

/**
 * e^v within 2 units in the last place for -87 <= v <= 88; beyond, the nearer limit's value.
 * v = n ln 2 + r with |r| <= ln 2 / 2 in two parts (Cody and Waite 1980), e^r by its series to r^7.
 */
MP_INLINE vector exponential(vector v) {
  const vector low = all(-87.0f);
  const vector high = all(88.0f);
  v = choose(v < low, low, v);
  v = choose(v > high, high, v);
  /* Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits. */
  const vector shifted = v * 1.44269504f + 12582912.0f;
  const vector n = shifted - 12582912.0f;
  const vector r = (v - n * 0.693359375f) - n * -2.12194440e-4f;
  vector p = r * (1.0f / 5040.0f) + (1.0f / 720.0f);
  p = p * r + (1.0f / 120.0f);
  p = p * r + (1.0f / 24.0f);
  p = p * r + (1.0f / 6.0f);
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return (vector)((integers)p + ((integers)shifted << 23));
}

#if MP_X86
/**
 * Defines `void name(mp_cpu cpu, type *argument, size_t from, size_t to)` from the inline `name_body(argument, from, to)`,
 * compiled for each level.
 */
#define MP_FOR_LEVELS(name, type) \
  static void name##_scalar(type *argument, size_t from, size_t to) { name##_body(argument, from, to); } \
  __attribute__((target(MP_FEATURES_AVX2))) static void name##_avx2(type *argument, size_t from, size_t to) { \
    name##_body(argument, from, to); \
  } \
  __attribute__((target(MP_FEATURES_AVX512))) static void name##_avx512(type *argument, size_t from, size_t to) { \
    name##_body(argument, from, to); \
  } \
  static void name(mp_cpu cpu, type *argument, size_t from, size_t to) { \
    if (cpu >= MP_CPU_AVX512) name##_avx512(argument, from, to); \
    else if (cpu == MP_CPU_AVX2) name##_avx2(argument, from, to); \
    else name##_scalar(argument, from, to); \
  }
#else
#define MP_FOR_LEVELS(name, type) \
  static void name(mp_cpu cpu, type *argument, size_t from, size_t to) { \
    (void)cpu; \
    name##_body(argument, from, to); \
  }
#endif

#endif
