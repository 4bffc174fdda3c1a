/**
 * @file Sparse int8: weights of pattern 1x16 with a scale for each output, rows of X quantized while they are packed,
 * each with a scale of its own. Sums are exact integers.
 */
#ifndef MODELPRESS_SPARSE_INT8_H
#define MODELPRESS_SPARSE_INT8_H

#include "sparse-pack.h"

/** Rows of X in a panel of bytes. */
#define MP_INT8_ROWS 64
/** Added to int8 values of X, as the instruction wants one factor unsigned. */
#define MP_INT8_ZERO 128

typedef struct {
  /**
   * Quantizes `rows` rows of X [.., k]: x = scale (byte - MP_INT8_ZERO) with scale = max |x| / 127 of the row.
   * Panel [k][MP_INT8_ROWS]; the order of the rows in it is the level's own.
   */
  void (*pack_rows)(const float *x, size_t rows, size_t k, uint8_t *panel, float *scales);
  /** Y [rows, MP_STRIP] of a strip; `y` and `bias` (or NULL) point at the strip's first output. */
  void (*strip)(const mp_sparse_view *w, size_t strip, const uint8_t *panel, const float *scales, size_t rows,
                const float *bias, float *y);
} mp_int8_level;

extern const mp_int8_level mp_int8_scalar;
extern const mp_int8_level mp_int8_vnni;

#endif
