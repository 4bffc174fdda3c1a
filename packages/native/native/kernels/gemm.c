/**
 * @file The bfloat16 product Y = alpha op(A) op(B) + bias: both operands are packed into panels (gemm-panels.h), then
 * blocks of Y are computed tile by tile. The order of every sum depends on the shape alone, not on the threads.
 */
#include <stdint.h>

#include "gemm-panels.h"
#include "kernels.h"
#include "spread.h"
#include "target.h"

enum {
  /** One stretch of a panel of B and of A fit the first-level cache together: 24 + 11 kB. */
  STRETCH_PAIRS = 192,
  /** A block of Y: 224 x 256. */
  BLOCK_ROW_PANELS = 16,
  BLOCK_COLUMN_PANELS = 8,
  /** Fewer blocks than this are made smaller, so that a few threads share a small product evenly. */
  ENOUGH_BLOCKS = 16,
  /** A product of a batch whose panels fit here is packed and multiplied by one thread, on its stack. */
  STACK_WORDS = 16384
};

typedef struct {
  size_t start, count;
} range;

/** Part `index` of `total` things split as evenly as possible into `parts`. */
static range part_of(size_t total, size_t parts, size_t index) {
  const size_t size = total / parts;
  const size_t larger = total % parts;
  const size_t start = index * size + (index < larger ? index : larger);
  return (range){start, size + (index < larger ? 1 : 0)};
}

typedef struct {
  const mp_gemm_level *level;
  mp_gemm_shape shape;
  size_t pairs, row_panels, column_panels;
  size_t stretches, row_blocks, column_blocks;
} plan;

typedef struct {
  const plan *plan;
  const float *a, *b, *bias;
  float *y;
  uint32_t *a_panels;
  uint32_t *b_panels;
} product;

static size_t a_words(const plan *p) {
  return p->row_panels * MP_TILE_ROWS * p->pairs;
}

static size_t b_words(const plan *p) {
  return p->column_panels * MP_TILE_COLUMNS * p->pairs;
}

static const mp_gemm_level *level_of(mp_cpu cpu) {
  if (!mp_cpu_supports(cpu)) return NULL;
  switch (cpu) {
#if MP_X86
    case MP_CPU_AVX512_BF16:
      return &mp_gemm_avx512_bf16;
    case MP_CPU_AVX512:
    case MP_CPU_AVX2:
      return &mp_gemm_avx2;
#endif
    default:
      return &mp_gemm_scalar;
  }
}

/** Whether every operand, and the panels, have sizes that size_t holds. */
static int sizes_fit(const mp_gemm_shape *s) {
  const size_t limit = SIZE_MAX / 64;
  size_t a, b, y, all;
  return s->m < limit && s->n < limit && s->k < limit &&
         !__builtin_mul_overflow(s->m + MP_TILE_ROWS, s->k + 2, &a) &&
         !__builtin_mul_overflow(s->n + MP_TILE_COLUMNS, s->k + 2, &b) && !__builtin_mul_overflow(s->m, s->n, &y) &&
         a < limit && b < limit && y < limit && !__builtin_mul_overflow(a, s->batch, &all) && all < limit &&
         !__builtin_mul_overflow(b, s->batch, &all) && all < limit && !__builtin_mul_overflow(y, s->batch, &all) &&
         all < limit;
}

static mp_status make_plan(const mp_context *context, const mp_gemm_shape *shape, plan *p) {
  if (!sizes_fit(shape)) return MP_INVALID;
  p->level = level_of(context->cpu);
  if (p->level == NULL) return MP_UNSUPPORTED;
  p->shape = *shape;
  p->pairs = mp_divide_up(shape->k, 2);
  p->row_panels = mp_divide_up(shape->m, MP_TILE_ROWS);
  p->column_panels = mp_divide_up(shape->n, MP_TILE_COLUMNS);
  p->stretches = p->pairs == 0 ? 1 : mp_divide_up(p->pairs, STRETCH_PAIRS);
  p->row_blocks = mp_divide_up(p->row_panels, BLOCK_ROW_PANELS);
  size_t wide = BLOCK_COLUMN_PANELS;
  while (wide > 1 && p->row_blocks * mp_divide_up(p->column_panels, wide) < ENOUGH_BLOCKS) wide /= 2;
  p->column_blocks = mp_divide_up(p->column_panels, wide);
  return MP_OK;
}

/** Panels of a block of rows of A, for one stretch. */
static void pack_a(const product *g, size_t block, size_t stretch) {
  const plan *p = g->plan;
  const mp_gemm_shape *s = &p->shape;
  const range rows = part_of(p->row_panels, p->row_blocks, block);
  const range pairs = part_of(p->pairs, p->stretches, stretch);
  const size_t row = rows.start * MP_TILE_ROWS;
  const size_t k = 2 * pairs.start;
  const size_t stride = s->transpose_a ? s->m : s->k;
  mp_panels panels = {
      .source = g->a + (s->transpose_a ? k * stride + row : row * stride + k),
      .stride = stride,
      .items = rows.count * MP_TILE_ROWS < s->m - row ? rows.count * MP_TILE_ROWS : s->m - row,
      .k = 2 * pairs.count < s->k - k ? 2 * pairs.count : s->k - k,
      .width = MP_TILE_ROWS,
      .panels = g->a_panels + (p->row_panels * pairs.start + rows.start * pairs.count) * MP_TILE_ROWS,
  };
  (s->transpose_a ? p->level->pack_across : p->level->pack_along)(&panels);
}

static void pack_b(const product *g, size_t block, size_t stretch) {
  const plan *p = g->plan;
  const mp_gemm_shape *s = &p->shape;
  const range columns = part_of(p->column_panels, p->column_blocks, block);
  const range pairs = part_of(p->pairs, p->stretches, stretch);
  const size_t column = columns.start * MP_TILE_COLUMNS;
  const size_t k = 2 * pairs.start;
  const size_t stride = s->transpose_b ? s->k : s->n;
  mp_panels panels = {
      .source = g->b + (s->transpose_b ? column * stride + k : k * stride + column),
      .stride = stride,
      .items = columns.count * MP_TILE_COLUMNS < s->n - column ? columns.count * MP_TILE_COLUMNS : s->n - column,
      .k = 2 * pairs.count < s->k - k ? 2 * pairs.count : s->k - k,
      .width = MP_TILE_COLUMNS,
      .panels = g->b_panels + (p->column_panels * pairs.start + columns.start * pairs.count) * MP_TILE_COLUMNS,
  };
  (s->transpose_b ? p->level->pack_along : p->level->pack_across)(&panels);
}

/** The tiles of one block of Y. */
static void multiply(const product *g, size_t row_block, size_t column_block) {
  const plan *p = g->plan;
  const mp_gemm_shape *s = &p->shape;
  const range rows = part_of(p->row_panels, p->row_blocks, row_block);
  const range columns = part_of(p->column_panels, p->column_blocks, column_block);
  for (size_t stretch = 0; stretch < p->stretches; stretch++) {
    const range pairs = part_of(p->pairs, p->stretches, stretch);
    const uint32_t *a_stretch = g->a_panels + p->row_panels * pairs.start * MP_TILE_ROWS;
    const uint32_t *b_stretch = g->b_panels + p->column_panels * pairs.start * MP_TILE_COLUMNS;
    for (size_t j = columns.start; j < columns.start + columns.count; j++) {
      const size_t column = j * MP_TILE_COLUMNS;
      for (size_t i = rows.start; i < rows.start + rows.count; i++) {
        const size_t row = i * MP_TILE_ROWS;
        const mp_tile tile = {
            .a = a_stretch + i * pairs.count * MP_TILE_ROWS,
            .b = b_stretch + j * pairs.count * MP_TILE_COLUMNS,
            .pairs = pairs.count,
            .y = g->y + row * s->n + column,
            .stride = s->n,
            .rows = s->m - row < MP_TILE_ROWS ? s->m - row : MP_TILE_ROWS,
            .columns = s->n - column < MP_TILE_COLUMNS ? s->n - column : MP_TILE_COLUMNS,
            .alpha = s->alpha,
            .first = stretch == 0 && !s->accumulate,
            .bias = g->bias ? g->bias + column : NULL,
        };
        p->level->tile(&tile);
      }
    }
  }
}

static void pack_a_task(void *argument, size_t index) {
  const product *g = argument;
  pack_a(g, index % g->plan->row_blocks, index / g->plan->row_blocks);
}

static void pack_b_task(void *argument, size_t index) {
  const product *g = argument;
  pack_b(g, index % g->plan->column_blocks, index / g->plan->column_blocks);
}

static void pack_task(void *argument, size_t index) {
  const product *g = argument;
  const size_t of_a = g->plan->row_blocks * g->plan->stretches;
  if (index < of_a) pack_a_task(argument, index);
  else pack_b_task(argument, index - of_a);
}

static void multiply_task(void *argument, size_t index) {
  const product *g = argument;
  multiply(g, index % g->plan->row_blocks, index / g->plan->row_blocks);
}

static void pack_and_multiply(const mp_context *context, product *g) {
  const plan *p = g->plan;
  mp_spread(context, pack_task, (p->row_blocks + p->column_blocks) * p->stretches, g);
  mp_spread(context, multiply_task, p->row_blocks * p->column_blocks, g);
}

/** Product `index` of a batch. */
static product item_of(const product *g, size_t index) {
  const mp_gemm_shape *s = &g->plan->shape;
  product item = *g;
  item.a += index * s->m * s->k;
  item.b += index * s->k * s->n;
  item.y += index * s->m * s->n;
  return item;
}

static void small_product_task(void *argument, size_t index) {
  __attribute__((aligned(MP_ALIGNMENT))) uint32_t panels[STACK_WORDS];
  product g = item_of(argument, index);
  g.b_panels = panels;
  g.a_panels = panels + b_words(g.plan);
  const plan *p = g.plan;
  for (size_t i = 0; i < p->row_blocks * p->stretches; i++) pack_a_task(&g, i);
  for (size_t i = 0; i < p->column_blocks * p->stretches; i++) pack_b_task(&g, i);
  for (size_t i = 0; i < p->row_blocks * p->column_blocks; i++) multiply_task(&g, i);
}

static int fits_stack(const plan *p) {
  return p->shape.batch > 1 && a_words(p) + b_words(p) <= STACK_WORDS;
}

static int is_empty(const plan *p) {
  return p->shape.batch == 0 || p->shape.m == 0 || p->shape.n == 0;
}

size_t mp_bf16_gemm_scratch(const mp_context *context, const mp_gemm_shape *shape) {
  plan p;
  if (make_plan(context, shape, &p) != MP_OK || fits_stack(&p)) return 0;
  return (a_words(&p) + b_words(&p)) * sizeof(uint32_t);
}

mp_status mp_bf16_gemm(const mp_context *context, const mp_gemm_shape *shape, const float *a, const float *b,
                       const float *bias, float *y, void *scratch) {
  plan p;
  const mp_status status = make_plan(context, shape, &p);
  if (status != MP_OK || is_empty(&p)) return status;
  product g = {.plan = &p, .a = a, .b = b, .bias = bias, .y = y};
  if (fits_stack(&p)) {
    mp_spread(context, small_product_task, shape->batch, &g);
    return MP_OK;
  }
  g.b_panels = scratch;
  g.a_panels = g.b_panels + b_words(&p);
  for (size_t index = 0; index < shape->batch; index++) {
    product item = item_of(&g, index);
    pack_and_multiply(context, &item);
  }
  return MP_OK;
}

size_t mp_bf16_pack_size(const mp_context *context, const mp_gemm_shape *shape) {
  plan p;
  if (shape->batch != 1 || make_plan(context, shape, &p) != MP_OK) return 0;
  return b_words(&p) * sizeof(uint32_t);
}

mp_status mp_bf16_pack(const mp_context *context, const mp_gemm_shape *shape, const float *b, void *packed) {
  plan p;
  if (shape->batch != 1) return MP_INVALID;
  const mp_status status = make_plan(context, shape, &p);
  if (status != MP_OK || shape->n == 0) return status;
  product g = {.plan = &p, .b = b, .b_panels = packed};
  mp_spread(context, pack_b_task, p.column_blocks * p.stretches, &g);
  return MP_OK;
}

size_t mp_bf16_gemm_packed_scratch(const mp_context *context, const mp_gemm_shape *shape) {
  plan p;
  if (shape->batch != 1 || make_plan(context, shape, &p) != MP_OK) return 0;
  return a_words(&p) * sizeof(uint32_t);
}

mp_status mp_bf16_gemm_packed(const mp_context *context, const mp_gemm_shape *shape, const float *a,
                              const void *packed, const float *bias, float *y, void *scratch) {
  plan p;
  if (shape->batch != 1) return MP_INVALID;
  const mp_status status = make_plan(context, shape, &p);
  if (status != MP_OK || is_empty(&p)) return status;
  product g = {.plan = &p, .a = a, .bias = bias, .y = y, .a_panels = scratch, .b_panels = (uint32_t *)packed};
  mp_spread(context, pack_a_task, p.row_blocks * p.stretches, &g);
  mp_spread(context, multiply_task, p.row_blocks * p.column_blocks, &g);
  return MP_OK;
}
