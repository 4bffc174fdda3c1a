/** @file The bfloat16 product with AVX512_BF16: two multiply-adds per lane and instruction. */
#include "gemm-panels.h"
#include "spread.h"
#include "target.h"

#if MP_X86

MP_TARGET_BEGIN(AVX512_BF16)

#include "lanes-avx512.h"

enum { PREFETCH_ROWS = 4 };

/** Rounds to bfloat16: `low` into lanes 0..15 of the result, `high` into 16..31. */
MP_INLINE __m512i round_both(__m512 high, __m512 low) {
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

static void pack_across(const mp_panels *p) {
  /* Half-word i of row k beside half-word i of row k + 1. */
  const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                              21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const size_t pairs = (p->k + 1) / 2;
  for (size_t pair = 0; pair < pairs; pair++) {
    const float *even = p->source + 2 * pair * p->stride;
    const float *odd = even + p->stride;
    const int has_odd = 2 * pair + 1 < p->k;
    const float *ahead = 2 * (pair + PREFETCH_ROWS) < p->k ? even + 2 * PREFETCH_ROWS * p->stride : even;
    uint32_t *out = p->panels + pair * p->width;
    for (size_t first = 0; first < p->items; first += p->width, out += pairs * p->width) {
      for (size_t i = 0; i < p->width; i += LANES) {
        const size_t item = first + i;
        const __mmask16 present = first_lanes(item < p->items ? mp_smaller(p->items - item, p->width - i) : 0);
        _mm_prefetch((const char *)(ahead + item), _MM_HINT_T0);
        _mm_prefetch((const char *)(ahead + p->stride + item), _MM_HINT_T0);
        const __m512 low = _mm512_maskz_loadu_ps(present, even + item);
        const __m512 high = has_odd ? _mm512_maskz_loadu_ps(present, odd + item) : _mm512_setzero_ps();
        const __m512i words = _mm512_permutexvar_epi16(interleave, round_both(high, low));
        _mm512_mask_storeu_epi32(out + i, first_lanes(p->width - i), words);
      }
    }
  }
}

static void pack_along(const mp_panels *p) {
  const size_t pairs = (p->k + 1) / 2;
  uint32_t *panel = p->panels;
  for (size_t first = 0; first < p->items; first += p->width, panel += pairs * p->width) {
    for (size_t i = 0; i < p->width; i += LANES) {
      const size_t item = first + i;
      const size_t present = item < p->items ? mp_smaller(mp_smaller(p->items - item, p->width - i), LANES) : 0;
      const __mmask16 kept = first_lanes(p->width - i);
      const float *source = p->source + item * p->stride;
      for (size_t pair = 0; pair < pairs; pair += LANES) {
        const size_t left = p->k - 2 * pair;
        const __mmask16 low = first_lanes(left);
        const __mmask16 high = first_lanes(left > LANES ? left - LANES : 0);
        __m512i words[LANES];
        MP_UNROLL
        for (size_t row = 0; row < LANES; row++) {
          const float *at = source + row * p->stride + 2 * pair;
          words[row] = row < present ? round_both(_mm512_maskz_loadu_ps(high, at + LANES), _mm512_maskz_loadu_ps(low, at))
                                     : _mm512_setzero_si512();
        }
        transpose(words);
        uint32_t *out = panel + pair * p->width + i;
        const size_t count = mp_smaller(pairs - pair, LANES);
        for (size_t column = 0; column < count; column++) {
          _mm512_mask_storeu_epi32(out + column * p->width, kept, words[column]);
        }
      }
    }
  }
}

MP_INLINE void tile_of(const mp_tile *t, const size_t rows) {
  __m512 left[MP_TILE_ROWS], right[MP_TILE_ROWS];
  MP_UNROLL
  for (size_t row = 0; row < rows; row++) {
    left[row] = _mm512_setzero_ps();
    right[row] = _mm512_setzero_ps();
    _mm_prefetch((const char *)(t->y + row * t->stride), _MM_HINT_T0);
    _mm_prefetch((const char *)(t->y + row * t->stride + LANES), _MM_HINT_T0);
  }
  const uint32_t *a = t->a;
  const uint32_t *b = t->b;
  for (size_t pair = 0; pair < t->pairs; pair++) {
    const __m512bh b0 = (__m512bh)_mm512_loadu_si512(b);
    const __m512bh b1 = (__m512bh)_mm512_loadu_si512(b + LANES);
    MP_UNROLL
    for (size_t row = 0; row < rows; row++) {
      const __m512bh value = (__m512bh)_mm512_set1_epi32((int)a[row]);
      left[row] = _mm512_dpbf16_ps(left[row], value, b0);
      right[row] = _mm512_dpbf16_ps(right[row], value, b1);
    }
    a += MP_TILE_ROWS;
    b += MP_TILE_COLUMNS;
  }
  const __mmask16 kept0 = first_lanes(t->columns);
  const __mmask16 kept1 = first_lanes(t->columns > LANES ? t->columns - LANES : 0);
  const __m512 alpha = _mm512_set1_ps(t->alpha);
  const __m512 bias0 = t->bias ? _mm512_maskz_loadu_ps(kept0, t->bias) : _mm512_setzero_ps();
  const __m512 bias1 = t->bias && kept1 ? _mm512_maskz_loadu_ps(kept1, t->bias + LANES) : _mm512_setzero_ps();
  MP_UNROLL
  for (size_t row = 0; row < rows; row++) {
    float *y = t->y + row * t->stride;
    const __m512 before0 = t->first ? bias0 : _mm512_maskz_loadu_ps(kept0, y);
    const __m512 before1 = t->first ? bias1 : _mm512_maskz_loadu_ps(kept1, y + LANES);
    _mm512_mask_storeu_ps(y, kept0, _mm512_fmadd_ps(alpha, left[row], before0));
    _mm512_mask_storeu_ps(y + LANES, kept1, _mm512_fmadd_ps(alpha, right[row], before1));
  }
}

/** Each number of rows is code of its own, so that all sums stay in registers. */
static void tile(const mp_tile *t) {
  switch (t->rows) {
    case 1: tile_of(t, 1); break;
    case 2: tile_of(t, 2); break;
    case 3: tile_of(t, 3); break;
    case 4: tile_of(t, 4); break;
    case 5: tile_of(t, 5); break;
    case 6: tile_of(t, 6); break;
    case 7: tile_of(t, 7); break;
    case 8: tile_of(t, 8); break;
    case 9: tile_of(t, 9); break;
    case 10: tile_of(t, 10); break;
    case 11: tile_of(t, 11); break;
    case 12: tile_of(t, 12); break;
    case 13: tile_of(t, 13); break;
    default: tile_of(t, 14); break;
  }
}

MP_TARGET_END

const mp_gemm_level mp_gemm_avx512_bf16 = {pack_along, pack_across, tile};

#endif
