/** @file Sparse int8 in plain C: the same integers as the vector code. */
#include <math.h>
#include <string.h>

#include "sparse-int8.h"
#include "spread.h"

static void pack_rows(const float *x, size_t rows, size_t k, uint8_t *panel, float *scales) {
  for (size_t row = 0; row < MP_INT8_ROWS; row++) {
    float largest = 0;
    if (row < rows) {
      for (size_t input = 0; input < k; input++) largest = fmaxf(largest, fabsf(x[row * k + input]));
    }
    const float factor = largest > 0 ? 127 / largest : 0;
    scales[row] = largest / 127;
    for (size_t input = 0; input < k; input++) {
      const float value = row < rows ? x[row * k + input] * factor : 0;
      /* what is not finite becomes 0 */
      panel[input * MP_INT8_ROWS + row] = (uint8_t)((fabsf(value) < MP_INT8_ZERO ? (int)rintf(value) : 0) + MP_INT8_ZERO);
    }
  }
}

static void strip(const mp_sparse_view *w, size_t index, const uint8_t *panel, const float *scales, size_t rows,
                  const float *bias, float *y) {
  const size_t columns = mp_smaller(MP_STRIP, w->n - index * MP_STRIP);
  for (size_t row = 0; row < rows; row++) {
    int32_t sums[MP_STRIP] = {0};
    for (size_t entry = w->starts[index]; entry < w->starts[index + 1]; entry++) {
      const int32_t x = panel[(size_t)w->inputs[entry] * MP_INT8_ROWS + row];
      const int8_t *bytes = w->bytes + entry / 4 * 64 + entry % 4;
      for (size_t i = 0; i < MP_STRIP; i++) sums[i] += x * bytes[4 * i];
    }
    for (size_t i = 0; i < columns; i++) {
      const int32_t sum = (int32_t)((uint32_t)sums[i] - MP_INT8_ZERO * (uint32_t)w->sums[index * MP_STRIP + i]);
      const float value = (float)sum * (scales[row] * w->scales[index * MP_STRIP + i]);
      y[row * w->n + i] = value + (bias != NULL ? bias[i] : 0.0f);
    }
  }
}

const mp_int8_level mp_int8_scalar = {pack_rows, strip};
