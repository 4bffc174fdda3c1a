/**
 * @file What the levels of the bfloat16 product share: the panel layout, and the three functions a level implements.
 *
 * A panel holds MP_TILE_ROWS rows of op(A), or MP_TILE_COLUMNS columns of op(B), for a stretch of the inner dimension:
 * `pairs` x width words, each two bfloat16 of neighbouring k (the even k in the low half), k outermost. What lies
 * beyond the matrix is zero.
 */
#ifndef MODELPRESS_GEMM_PANELS_H
#define MODELPRESS_GEMM_PANELS_H

#include <stddef.h>
#include <stdint.h>

#define MP_TILE_ROWS 14
#define MP_TILE_COLUMNS 32

/** `items` rows of op(A) or columns of op(B), `k` long, that become ceil(items / width) panels. */
typedef struct {
  const float *source;
  size_t stride;
  size_t items, k;
  size_t width;
  uint32_t *panels;
} mp_panels;

/** One tile of Y: [rows, columns] at most MP_TILE_ROWS x MP_TILE_COLUMNS. */
typedef struct {
  const uint32_t *a, *b;
  size_t pairs;
  float *y;
  size_t stride;
  size_t rows, columns;
  float alpha;
  /** Added by the first stretch of k, where Y has no value yet. */
  int first;
  /** [columns] or NULL */
  const float *bias;
} mp_tile;

typedef struct {
  /** Item i at k: source[i * stride + k]. */
  void (*pack_along)(const mp_panels *panels);
  /** Item i at k: source[k * stride + i]. */
  void (*pack_across)(const mp_panels *panels);
  void (*tile)(const mp_tile *tile);
} mp_gemm_level;

extern const mp_gemm_level mp_gemm_scalar;
extern const mp_gemm_level mp_gemm_avx2;
extern const mp_gemm_level mp_gemm_avx512_bf16;

#endif
