/** @file The bfloat16 product in plain C: the reference of the vector code, and the route of other processors. */
#include <string.h>

#include "gemm-panels.h"
#include "target.h"

/**
 * Nearest even, as VCVTNE2PS2BF16 does it: denormals become zero, and a NaN stays one (quiet).
 */
MP_INLINE uint32_t to_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const uint32_t exponent = bits & 0x7f800000u;
  if (exponent == 0) return (bits >> 16) & 0x8000u;
  if (exponent == 0x7f800000u && (bits & 0x007fffffu) != 0) return (bits >> 16) | 0x40u;
  return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

MP_INLINE float low_half(uint32_t pair) {
  const uint32_t bits = pair << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

MP_INLINE float high_half(uint32_t pair) {
  const uint32_t bits = pair & 0xffff0000u;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

MP_INLINE void pack(const mp_panels *p, size_t item_stride, size_t k_stride) {
  const size_t pairs = (p->k + 1) / 2;
  uint32_t *out = p->panels;
  for (size_t first = 0; first < p->items; first += p->width) {
    for (size_t pair = 0; pair < pairs; pair++) {
      for (size_t i = 0; i < p->width; i++) {
        const size_t item = first + i;
        const float *at = p->source + item * item_stride + 2 * pair * k_stride;
        const uint32_t even = item < p->items ? to_bf16(at[0]) : 0;
        const uint32_t odd = item < p->items && 2 * pair + 1 < p->k ? to_bf16(at[k_stride]) : 0;
        *out++ = even | odd << 16;
      }
    }
  }
}

static void pack_along(const mp_panels *panels) {
  pack(panels, panels->stride, 1);
}

static void pack_across(const mp_panels *panels) {
  pack(panels, 1, panels->stride);
}

MP_INLINE void tile(const mp_tile *t) {
  for (size_t row = 0; row < t->rows; row++) {
    float sums[MP_TILE_COLUMNS] = {0};
    const uint32_t *a = t->a + row;
    const uint32_t *b = t->b;
    for (size_t pair = 0; pair < t->pairs; pair++) {
      const float even = low_half(*a);
      const float odd = high_half(*a);
      for (size_t column = 0; column < MP_TILE_COLUMNS; column++) {
        sums[column] += odd * high_half(b[column]) + even * low_half(b[column]);
      }
      a += MP_TILE_ROWS;
      b += MP_TILE_COLUMNS;
    }
    float *y = t->y + row * t->stride;
    for (size_t column = 0; column < t->columns; column++) {
      const float before = !t->first ? y[column] : t->bias ? t->bias[column] : 0.0f;
      y[column] = t->alpha * sums[column] + before;
    }
  }
}

static void tile_scalar(const mp_tile *t) {
  tile(t);
}

const mp_gemm_level mp_gemm_scalar = {pack_along, pack_across, tile_scalar};

#if MP_X86
__attribute__((target(MP_FEATURES_AVX2))) static void tile_avx2(const mp_tile *t) {
  tile(t);
}

const mp_gemm_level mp_gemm_avx2 = {pack_along, pack_across, tile_avx2};
#endif
