/**
 * @file The packed form of a sparse weight W [k, n], version 1: what sparse.c writes and checks, and kernels read.
 *
 * Little endian. A header of 64 bytes, then three sections, each at the next multiple of 64 bytes:
 *   starts  uint32 [groups + 1]        entries of group g: starts[g] <= e < starts[g + 1]
 *   inputs  uint32 [entries]           which of the k inputs, ascending within a group
 *   values  float32 [entries, width]   the weights of that input for the outputs g width .. (g + 1) width - 1
 * with width = 1, 16 or 4 by pattern and groups = ceil(n / width). Outputs beyond n have value 0.
 *
 * Pattern MP_SPARSE_1X16_INT8 has width 16, a number of entries in each group that 4 divides (the last ones may repeat
 * an input with weights 0), and instead of `values`, also each at a multiple of 64 bytes:
 *   values  int8 [entries / 4, 16, 4]  of four entries the weights of one output, then of the next
 *   scales  float32 [groups, 16]       weight = scale * value
 *   sums    int32 [groups, 16]         sum of the values of an output
 */
#ifndef MODELPRESS_SPARSE_PACK_H
#define MODELPRESS_SPARSE_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

#define MP_SPARSE_VERSION 1

typedef struct {
  /** "MPSPARSE" */
  char magic[8];
  uint32_t version;
  /** mp_sparse_pattern */
  uint32_t pattern;
  uint64_t k, n, entries;
  uint64_t zero[3];
} mp_sparse_header;

/** A pack taken apart. */
typedef struct {
  mp_sparse_pattern pattern;
  size_t k, n, width, groups, entries;
  const uint32_t *starts, *inputs;
  const float *values;
  /** Of MP_SPARSE_1X16_INT8, which has no `values`. */
  const int8_t *bytes;
  const float *scales;
  const int32_t *sums;
} mp_sparse_view;

/** Outputs that a kernel writes at a time: sixteen groups, four or one. */
#define MP_STRIP 16
/** Rows of X in a panel, which holds X transposed: [k][MP_SPARSE_ROWS], zero beyond the rows there are. */
#define MP_SPARSE_ROWS 48

typedef struct {
  /** `rows` rows of X [.., k] into a panel. */
  void (*pack_rows)(const float *x, size_t rows, size_t k, float *panel);
  /** Y [rows, MP_STRIP] of a strip, from a panel. `y` and `bias` (or NULL) point at the strip's first output. */
  void (*strip)(const mp_sparse_view *w, size_t strip, const float *panel, size_t rows, const float *bias, float *y);
  /** The same for 1x16 and at most MP_SPARSE_FEW_ROWS rows, from X itself; NULL: there is none. */
  void (*few_rows)(const mp_sparse_view *w, size_t strip, const float *x, size_t rows, const float *bias, float *y);
} mp_sparse_level;

#define MP_SPARSE_FEW_ROWS 8

extern const mp_sparse_level mp_sparse_scalar;
extern const mp_sparse_level mp_sparse_avx512;

#endif
