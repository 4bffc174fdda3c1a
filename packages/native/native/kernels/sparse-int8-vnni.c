/**
 * @file Sparse int8 with AVX512_VNNI, which adds four products in each lane. Rows of X are in the lanes. Four inputs of
 * a group, whichever they are, are brought together once for its 16 outputs.
 */
#include "sparse-int8.h"
#include "spread.h"
#include "target.h"

#if MP_X86

MP_TARGET_BEGIN(AVX512_VNNI)
#include "lanes-avx512.h"

/** Registers of rows; outputs whose sums are in registers at once; groups of four inputs brought together at once. */
enum { REGISTERS = MP_INT8_ROWS / LANES, OUTPUTS = 4, FOURS = 64 };

/** max |x| of a row. */
MP_INLINE float largest_of(const float *x, size_t k) {
  __m512 largest = _mm512_setzero_ps();
  for (size_t input = 0; input < k; input += LANES) {
    largest = _mm512_max_ps(largest, _mm512_abs_ps(_mm512_maskz_loadu_ps(first_lanes(k - input), x + input)));
  }
  return _mm512_reduce_max_ps(largest);
}

/** Rounded values of sixteen rows from `first` at sixteen inputs, a register for each input: 16 bytes into `bytes`. */
MP_INLINE void quantize_block(const float *x, size_t rows, size_t k, size_t input, const float *factors,
                              uint8_t bytes[LANES][MP_INT8_ROWS], size_t first) {
  const __mmask16 inside = first_lanes(k - input);
  __m512i words[LANES];
  MP_UNROLL
  for (size_t i = 0; i < LANES; i++) {
    const size_t row = first + i;
    const __m512 values = row < rows ? _mm512_maskz_loadu_ps(inside, x + row * k + input) : _mm512_setzero_ps();
    words[i] = _mm512_cvtps_epi32(_mm512_mul_ps(values, _mm512_set1_ps(factors[row])));
  }
  transpose(words);
  MP_UNROLL
  for (size_t i = 0; i < LANES; i++) {
    const __m512i shifted = _mm512_add_epi32(words[i], _mm512_set1_epi32(MP_INT8_ZERO));
    _mm_storeu_si128((__m128i *)(bytes[i] + first), _mm512_cvtepi32_epi8(shifted));
  }
}

/**
 * Words of four rows are ordered so that `strip`, which interleaves bytes within quarters of a register, finds rows
 * 16 r .. 16 r + 15 in its register r.
 */
static void pack_rows(const float *x, size_t rows, size_t k, uint8_t *panel, float *scales) {
  const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  float factors[MP_INT8_ROWS];
  for (size_t row = 0; row < MP_INT8_ROWS; row++) {
    const float largest = row < rows ? largest_of(x + row * k, k) : 0;
    factors[row] = largest > 0 ? 127 / largest : 0;
    scales[row] = largest / 127;
  }
  for (size_t input = 0; input < k; input += LANES) {
    uint8_t bytes[LANES][MP_INT8_ROWS];
    for (size_t first = 0; first < MP_INT8_ROWS; first += LANES) quantize_block(x, rows, k, input, factors, bytes, first);
    const size_t count = mp_smaller(k - input, LANES);
    for (size_t i = 0; i < count; i++) {
      _mm512_storeu_si512(panel + (input + i) * MP_INT8_ROWS,
                          _mm512_permutexvar_epi32(order, _mm512_loadu_si512(bytes[i])));
    }
  }
}

/** Four inputs side by side in each word, for all rows. */
MP_INLINE void gather_four(const uint8_t *panel, const uint32_t *inputs, __m512i to[REGISTERS]) {
  const __m512i x0 = _mm512_loadu_si512(panel + (size_t)inputs[0] * MP_INT8_ROWS);
  const __m512i x1 = _mm512_loadu_si512(panel + (size_t)inputs[1] * MP_INT8_ROWS);
  const __m512i x2 = _mm512_loadu_si512(panel + (size_t)inputs[2] * MP_INT8_ROWS);
  const __m512i x3 = _mm512_loadu_si512(panel + (size_t)inputs[3] * MP_INT8_ROWS);
  const __m512i low01 = _mm512_unpacklo_epi8(x0, x1);
  const __m512i high01 = _mm512_unpackhi_epi8(x0, x1);
  const __m512i low23 = _mm512_unpacklo_epi8(x2, x3);
  const __m512i high23 = _mm512_unpackhi_epi8(x2, x3);
  to[0] = _mm512_unpacklo_epi16(low01, low23);
  to[1] = _mm512_unpackhi_epi16(low01, low23);
  to[2] = _mm512_unpacklo_epi16(high01, high23);
  to[3] = _mm512_unpackhi_epi16(high01, high23);
}

/** Adds `fours` groups of four inputs to the sums of OUTPUTS outputs. */
MP_INLINE void add_products(const __m512i (*x)[REGISTERS], const int8_t *bytes, size_t fours, __m512i (*sums)[REGISTERS]) {
  __m512i sum[OUTPUTS][REGISTERS];
  MP_UNROLL
  for (size_t i = 0; i < OUTPUTS; i++) {
    MP_UNROLL
    for (size_t part = 0; part < REGISTERS; part++) sum[i][part] = sums[i][part];
  }
  for (size_t four = 0; four < fours; four++) {
    const int8_t *weights = bytes + four * 64;
    MP_UNROLL
    for (size_t i = 0; i < OUTPUTS; i++) {
      int32_t word;
      __builtin_memcpy(&word, weights + 4 * i, sizeof word);
      const __m512i weight = _mm512_set1_epi32(word);
      MP_UNROLL
      for (size_t part = 0; part < REGISTERS; part++) {
        sum[i][part] = _mm512_dpbusd_epi32(sum[i][part], x[four][part], weight);
      }
    }
  }
  MP_UNROLL
  for (size_t i = 0; i < OUTPUTS; i++) {
    MP_UNROLL
    for (size_t part = 0; part < REGISTERS; part++) sums[i][part] = sum[i][part];
  }
}

/** Sixteen outputs of sixteen rows, as float32. */
MP_INLINE void write_rows(const mp_sparse_view *w, size_t index, __m512i sums[MP_STRIP][REGISTERS], size_t part,
                          const float *scales, size_t count, const float *bias, float *y) {
  const __mmask16 kept = first_lanes(w->n - index * MP_STRIP);
  const __m512 shift = bias != NULL ? _mm512_maskz_loadu_ps(kept, bias) : _mm512_setzero_ps();
  const __m512 row_scales = _mm512_loadu_ps(scales);
  __m512i words[MP_STRIP];
  MP_UNROLL
  for (size_t i = 0; i < MP_STRIP; i++) {
    const size_t output = index * MP_STRIP + i;
    const __m512i zero = _mm512_set1_epi32((int32_t)(MP_INT8_ZERO * (uint32_t)w->sums[output]));
    const __m512 sum = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[i][part], zero));
    words[i] = _mm512_castps_si512(_mm512_mul_ps(sum, _mm512_mul_ps(row_scales, _mm512_set1_ps(w->scales[output]))));
  }
  transpose(words);
  for (size_t row = 0; row < count; row++) {
    _mm512_mask_storeu_ps(y + row * w->n, kept, _mm512_add_ps(_mm512_castsi512_ps(words[row]), shift));
  }
}

static void strip(const mp_sparse_view *w, size_t index, const uint8_t *panel, const float *scales, size_t rows,
                  const float *bias, float *y) {
  __m512i sums[MP_STRIP][REGISTERS];
  __m512i x[FOURS][REGISTERS];
  for (size_t i = 0; i < MP_STRIP; i++) {
    for (size_t part = 0; part < REGISTERS; part++) sums[i][part] = _mm512_setzero_si512();
  }
  const size_t end = w->starts[index + 1] / 4;
  for (size_t first = w->starts[index] / 4; first < end; first += FOURS) {
    const size_t fours = mp_smaller(FOURS, end - first);
    for (size_t four = 0; four < fours; four++) gather_four(panel, w->inputs + (first + four) * 4, x[four]);
    for (size_t i = 0; i < MP_STRIP; i += OUTPUTS) {
      add_products((const __m512i(*)[REGISTERS])x, w->bytes + first * 64 + 4 * i, fours, sums + i);
    }
  }
  for (size_t part = 0; part * LANES < rows; part++) {
    const size_t row = part * LANES;
    write_rows(w, index, sums, part, scales + row, mp_smaller(rows - row, LANES), bias, y + row * w->n);
  }
}

MP_TARGET_END

const mp_int8_level mp_int8_vnni = {pack_rows, strip};

#endif
