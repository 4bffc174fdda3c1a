/**
 * @file The sparse product with AVX-512: rows of X in the lanes, weights broadcast. A panel of 48 rows, three registers,
 * times eight outputs keeps 24 sums in registers and loads 11 operands for 24 multiply-adds.
 */
#include "sparse-pack.h"
#include "spread.h"
#include "target.h"

#if MP_X86

MP_TARGET_BEGIN(AVX512)
#include "lanes-avx512.h"

enum { REGISTERS = MP_SPARSE_ROWS / LANES };

static void pack_rows(const float *x, size_t rows, size_t k, float *panel) {
  for (size_t part = 0; part < REGISTERS; part++) {
    const size_t first = part * LANES;
    const size_t present = rows > first ? mp_smaller(rows - first, LANES) : 0;
    for (size_t input = 0; input < k; input += LANES) {
      const __mmask16 inside = first_lanes(k - input);
      __m512i words[LANES];
      MP_UNROLL
      for (size_t row = 0; row < LANES; row++) {
        words[row] = row < present ? _mm512_maskz_loadu_epi32(inside, x + (first + row) * k + input)
                                   : _mm512_setzero_si512();
      }
      transpose(words);
      const size_t count = mp_smaller(k - input, LANES);
      for (size_t i = 0; i < count; i++) _mm512_storeu_si512(panel + (input + i) * MP_SPARSE_ROWS + first, words[i]);
    }
  }
}

/** Sums of `outputs` outputs from `offset` in a group, for the first `parts` registers of rows, into sums[outputs]. */
MP_INLINE void group_sums(const mp_sparse_view *w, size_t group, const size_t width, const size_t offset,
                          const size_t outputs, const float *panel, const size_t parts, float sums[][MP_SPARSE_ROWS]) {
  __m512 sum[8][REGISTERS];
  MP_UNROLL
  for (size_t i = 0; i < outputs; i++) {
    MP_UNROLL
    for (size_t part = 0; part < parts; part++) sum[i][part] = _mm512_setzero_ps();
  }
  const size_t end = w->starts[group + 1];
  for (size_t entry = w->starts[group]; entry < end; entry++) {
    const float *x = panel + (size_t)w->inputs[entry] * MP_SPARSE_ROWS;
    const float *value = w->values + entry * width + offset;
    __m512 rows[REGISTERS];
    MP_UNROLL
    for (size_t part = 0; part < parts; part++) rows[part] = _mm512_loadu_ps(x + part * LANES);
    MP_UNROLL
    for (size_t i = 0; i < outputs; i++) {
      const __m512 weight = _mm512_set1_ps(value[i]);
      MP_UNROLL
      for (size_t part = 0; part < parts; part++) sum[i][part] = _mm512_fmadd_ps(weight, rows[part], sum[i][part]);
    }
  }
  MP_UNROLL
  for (size_t i = 0; i < outputs; i++) {
    MP_UNROLL
    for (size_t part = 0; part < parts; part++) _mm512_storeu_ps(sums[i] + part * LANES, sum[i][part]);
  }
}

/** One output; two sets of sums, as one would wait for itself. */
MP_INLINE void single_sums(const mp_sparse_view *w, size_t group, const float *panel, const size_t parts, float *sums) {
  __m512 even[REGISTERS], odd[REGISTERS];
  MP_UNROLL
  for (size_t part = 0; part < parts; part++) even[part] = odd[part] = _mm512_setzero_ps();
  size_t entry = w->starts[group];
  const size_t end = w->starts[group + 1];
  for (; entry + 1 < end; entry += 2) {
    const float *x0 = panel + (size_t)w->inputs[entry] * MP_SPARSE_ROWS;
    const float *x1 = panel + (size_t)w->inputs[entry + 1] * MP_SPARSE_ROWS;
    const __m512 w0 = _mm512_set1_ps(w->values[entry]);
    const __m512 w1 = _mm512_set1_ps(w->values[entry + 1]);
    MP_UNROLL
    for (size_t part = 0; part < parts; part++) {
      even[part] = _mm512_fmadd_ps(w0, _mm512_loadu_ps(x0 + part * LANES), even[part]);
      odd[part] = _mm512_fmadd_ps(w1, _mm512_loadu_ps(x1 + part * LANES), odd[part]);
    }
  }
  if (entry < end) {
    const float *x = panel + (size_t)w->inputs[entry] * MP_SPARSE_ROWS;
    const __m512 weight = _mm512_set1_ps(w->values[entry]);
    MP_UNROLL
    for (size_t part = 0; part < parts; part++) {
      even[part] = _mm512_fmadd_ps(weight, _mm512_loadu_ps(x + part * LANES), even[part]);
    }
  }
  MP_UNROLL
  for (size_t part = 0; part < parts; part++) _mm512_storeu_ps(sums + part * LANES, _mm512_add_ps(even[part], odd[part]));
}

MP_INLINE void strip_sums(const mp_sparse_view *w, size_t index, const float *panel, const size_t parts,
                          float sums[][MP_SPARSE_ROWS]) {
  if (w->pattern == MP_SPARSE_1X16) {
    group_sums(w, index, 16, 0, 8, panel, parts, sums);
    group_sums(w, index, 16, 8, 8, panel, parts, sums + 8);
    return;
  }
  const size_t groups = MP_STRIP / w->width;
  const size_t count = mp_smaller(groups, w->groups - index * groups);
  for (size_t i = 0; i < count; i++) {
    if (w->pattern == MP_SPARSE_4X1) group_sums(w, index * groups + i, 4, 0, 4, panel, parts, sums + 4 * i);
    else single_sums(w, index * groups + i, panel, parts, sums[i]);
  }
}

static void strip(const mp_sparse_view *w, size_t index, const float *panel, size_t rows, const float *bias, float *y) {
  float sums[MP_STRIP][MP_SPARSE_ROWS];
  if (rows <= LANES) strip_sums(w, index, panel, 1, sums);
  else if (rows <= 2 * LANES) strip_sums(w, index, panel, 2, sums);
  else strip_sums(w, index, panel, 3, sums);

  const size_t columns = mp_smaller(MP_STRIP, w->n - index * MP_STRIP);
  const __mmask16 kept = first_lanes(columns);
  const __m512 shift = bias != NULL ? _mm512_maskz_loadu_ps(kept, bias) : _mm512_setzero_ps();
  for (size_t first = 0; first < rows; first += LANES) {
    __m512i words[LANES];
    MP_UNROLL
    for (size_t i = 0; i < LANES; i++) {
      words[i] = i < columns ? _mm512_loadu_si512(sums[i] + first) : _mm512_setzero_si512();
    }
    transpose(words);
    const size_t count = mp_smaller(rows - first, LANES);
    for (size_t row = 0; row < count; row++) {
      _mm512_mask_storeu_ps(y + (first + row) * w->n, kept, _mm512_add_ps(_mm512_castsi512_ps(words[row]), shift));
    }
  }
}

/** Outputs in the lanes: rows would not fill them. */
static void few_rows(const mp_sparse_view *w, size_t index, const float *x, size_t rows, const float *bias, float *y) {
  const __mmask16 kept = first_lanes(w->n - index * MP_STRIP);
  const __m512 shift = bias != NULL ? _mm512_maskz_loadu_ps(kept, bias) : _mm512_setzero_ps();
  for (size_t row = 0; row < rows; row++) {
    const float *xs = x + row * w->k;
    __m512 sums[4] = {shift, _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    size_t entry = w->starts[index];
    const size_t end = w->starts[index + 1];
    for (; entry + 4 <= end; entry += 4) {
      MP_UNROLL
      for (size_t i = 0; i < 4; i++) {
        const __m512 weights = _mm512_loadu_ps(w->values + (entry + i) * MP_STRIP);
        sums[i] = _mm512_fmadd_ps(_mm512_set1_ps(xs[w->inputs[entry + i]]), weights, sums[i]);
      }
    }
    for (; entry < end; entry++) {
      const __m512 weights = _mm512_loadu_ps(w->values + entry * MP_STRIP);
      sums[0] = _mm512_fmadd_ps(_mm512_set1_ps(xs[w->inputs[entry]]), weights, sums[0]);
    }
    const __m512 sum = _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3]));
    _mm512_mask_storeu_ps(y + row * w->n, kept, sum);
  }
}

MP_TARGET_END

const mp_sparse_level mp_sparse_avx512 = {pack_rows, strip, few_rows};

#endif
