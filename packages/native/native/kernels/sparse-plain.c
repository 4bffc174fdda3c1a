/** @file The sparse product in plain C: the reference of the vector code, and the route of other processors. */
#include <string.h>

#include "sparse-pack.h"
#include "spread.h"

static void pack_rows(const float *x, size_t rows, size_t k, float *panel) {
  for (size_t input = 0; input < k; input++) {
    for (size_t row = 0; row < MP_SPARSE_ROWS; row++) *panel++ = row < rows ? x[row * k + input] : 0.0f;
  }
}

static void strip(const mp_sparse_view *w, size_t index, const float *panel, size_t rows, const float *bias, float *y) {
  const size_t groups = MP_STRIP / w->width;
  const size_t first = index * groups;
  const size_t columns = mp_smaller(MP_STRIP, w->n - index * MP_STRIP);
  float sums[MP_STRIP][MP_SPARSE_ROWS];
  memset(sums, 0, sizeof sums);
  for (size_t group = first; group < mp_smaller(first + groups, w->groups); group++) {
    for (size_t entry = w->starts[group]; entry < w->starts[group + 1]; entry++) {
      const float *x = panel + (size_t)w->inputs[entry] * MP_SPARSE_ROWS;
      for (size_t i = 0; i < w->width; i++) {
        float *sum = sums[(group - first) * w->width + i];
        const float value = w->values[entry * w->width + i];
        for (size_t row = 0; row < MP_SPARSE_ROWS; row++) sum[row] += value * x[row];
      }
    }
  }
  for (size_t row = 0; row < rows; row++) {
    for (size_t i = 0; i < columns; i++) y[row * w->n + i] = sums[i][row] + (bias != NULL ? bias[i] : 0.0f);
  }
}

const mp_sparse_level mp_sparse_scalar = {pack_rows, strip, NULL};
