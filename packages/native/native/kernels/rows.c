/** @file Kernels over the last axis: softmax backward; layer normalisation behind a residual sum, and backward. */
#include <math.h>

#include "spread.h"
#include "vector.h"

/** Elements of one task. */
enum { CHUNK = 16384, MOST_PARTS = 32 };

static size_t rows_of_task(size_t columns) {
  return columns >= CHUNK ? 1 : CHUNK / (columns + 1) + 1;
}

/* ---- softmax ---- */

typedef struct {
  mp_cpu cpu;
  const float *y, *dy;
  float *dx;
  size_t rows, columns;
} softmax_grad;

MP_INLINE void softmax_rows_body(softmax_grad *g, size_t from, size_t to) {
  for (size_t row = from; row < to; row++) {
    const float *y = g->y + row * g->columns;
    const float *dy = g->dy + row * g->columns;
    float *dx = g->dx + row * g->columns;
    vector sums = {0};
    size_t i = 0;
    for (; i + VECTOR_LANES <= g->columns; i += VECTOR_LANES) sums += load(y + i) * load(dy + i);
    float dot = sum_of(sums);
    for (; i < g->columns; i++) dot += y[i] * dy[i];
    for (i = 0; i + VECTOR_LANES <= g->columns; i += VECTOR_LANES) store(dx + i, (load(dy + i) - dot) * load(y + i));
    for (; i < g->columns; i++) dx[i] = (dy[i] - dot) * y[i];
  }
}
MP_FOR_LEVELS(softmax_rows, softmax_grad)

static void softmax_task(void *argument, size_t index) {
  softmax_grad *g = argument;
  const size_t rows = rows_of_task(g->columns);
  softmax_rows(g->cpu, g, index * rows, mp_smaller(g->rows, (index + 1) * rows));
}

mp_status mp_softmax_grad(const mp_context *context, const float *y, const float *dy, float *dx, size_t rows,
                          size_t columns) {
  if (!mp_cpu_supports(context->cpu)) return MP_UNSUPPORTED;
  softmax_grad g = {.cpu = context->cpu, .y = y, .dy = dy, .dx = dx, .rows = rows, .columns = columns};
  mp_spread(context, softmax_task, mp_divide_up(rows, rows_of_task(columns)), &g);
  return MP_OK;
}

/* ---- layer normalisation, backward ---- */

typedef struct {
  mp_cpu cpu;
  const mp_layer_norm_grad_arguments *arguments;
  /** [parts][2][columns]: sums of dy and of dy normalised over the rows of each part. */
  float *sums;
  size_t parts;
} norm_grad;

static size_t parts_of(size_t rows) {
  return mp_smaller(mp_divide_up(rows, 16), MOST_PARTS);
}

/**
 * dx = inverse (g - mean(g) - normalised mean(g normalised)) with g = dy scale.
 */
MP_INLINE void norm_grad_dx(const mp_layer_norm_grad_arguments *a, size_t row) {
  const size_t columns = a->columns;
  const float *x = a->x + row * columns;
  const float *dy = a->dy + row * columns;
  float *dx = a->dx + row * columns;
  const float mean = a->mean[row];
  const float inverse = a->inverse[row];
  vector sums = {0};
  vector dots = {0};
  size_t i = 0;
  for (; i + VECTOR_LANES <= columns; i += VECTOR_LANES) {
    const vector g = load(dy + i) * load(a->scale + i);
    sums += g;
    dots += g * ((load(x + i) - mean) * inverse);
  }
  float sum = sum_of(sums);
  float dot = sum_of(dots);
  for (; i < columns; i++) {
    const float g = dy[i] * a->scale[i];
    sum += g;
    dot += g * ((x[i] - mean) * inverse);
  }
  sum /= (float)columns;
  dot /= (float)columns;
  for (i = 0; i + VECTOR_LANES <= columns; i += VECTOR_LANES) {
    const vector g = load(dy + i) * load(a->scale + i);
    store(dx + i, inverse * (g - sum - (load(x + i) - mean) * inverse * dot));
  }
  for (; i < columns; i++) dx[i] = inverse * (dy[i] * a->scale[i] - sum - (x[i] - mean) * inverse * dot);
}

MP_INLINE void norm_grad_sums(const mp_layer_norm_grad_arguments *a, size_t row, float *sums, float *dots) {
  const size_t columns = a->columns;
  const float *x = a->x + row * columns;
  const float *dy = a->dy + row * columns;
  const float mean = a->mean[row];
  const float inverse = a->inverse[row];
  size_t i = 0;
  for (; i + VECTOR_LANES <= columns; i += VECTOR_LANES) {
    const vector d = load(dy + i);
    store(sums + i, load(sums + i) + d);
    store(dots + i, load(dots + i) + d * ((load(x + i) - mean) * inverse));
  }
  for (; i < columns; i++) {
    sums[i] += dy[i];
    dots[i] += dy[i] * ((x[i] - mean) * inverse);
  }
}

/** Parts `from` to `to` of the rows. dx may be dy, so a row's sums come first. */
MP_INLINE void norm_grad_parts_body(norm_grad *g, size_t from, size_t to) {
  const mp_layer_norm_grad_arguments *a = g->arguments;
  for (size_t part = from; part < to; part++) {
    float *sums = g->sums + part * 2 * a->columns;
    memset(sums, 0, 2 * a->columns * sizeof *sums);
    const size_t last = (part + 1) * a->rows / g->parts;
    for (size_t row = part * a->rows / g->parts; row < last; row++) {
      if (a->dscale != NULL || a->dbias != NULL) norm_grad_sums(a, row, sums, sums + a->columns);
      if (a->dx != NULL) norm_grad_dx(a, row);
    }
  }
}
MP_FOR_LEVELS(norm_grad_parts, norm_grad)

static void norm_grad_task(void *argument, size_t index) {
  norm_grad *g = argument;
  norm_grad_parts(g->cpu, g, index, index + 1);
}

size_t mp_layer_norm_grad_scratch(const mp_context *context, size_t rows, size_t columns) {
  (void)context;
  return parts_of(rows) * 2 * columns * sizeof(float);
}

mp_status mp_layer_norm_grad(const mp_context *context, const mp_layer_norm_grad_arguments *arguments, void *scratch) {
  if (!mp_cpu_supports(context->cpu)) return MP_UNSUPPORTED;
  const size_t columns = arguments->columns;
  norm_grad g = {.cpu = context->cpu, .arguments = arguments, .sums = scratch, .parts = parts_of(arguments->rows)};
  mp_spread(context, norm_grad_task, g.parts, &g);
  float *const outputs[] = {arguments->dbias, arguments->dscale};
  for (size_t which = 0; which < 2; which++) {
    float *out = outputs[which];
    if (out == NULL) continue;
    memset(out, 0, columns * sizeof *out);
    for (size_t part = 0; part < g.parts; part++) {
      const float *sums = g.sums + (2 * part + which) * columns;
      for (size_t i = 0; i < columns; i++) out[i] += sums[i];
    }
  }
  return MP_OK;
}

/* ---- residual sum and layer normalisation ---- */

typedef struct {
  mp_cpu cpu;
  const mp_residual_norm_arguments *arguments;
} residual_norm;

/** sum of one row, and its mean. */
MP_INLINE float residual_sum(const mp_residual_norm_arguments *a, size_t row) {
  const size_t columns = a->columns;
  const size_t at = row * columns;
  vector sums = {0};
  size_t i = 0;
  for (; i + VECTOR_LANES <= columns; i += VECTOR_LANES) {
    vector v = load(a->x + at + i);
    if (a->bias != NULL) v += load(a->bias + i);
    if (a->mask != NULL) v *= load(a->mask + at + i);
    if (a->residual != NULL) v += load(a->residual + at + i);
    store(a->sum + at + i, v);
    sums += v;
  }
  float total = sum_of(sums);
  for (; i < columns; i++) {
    float v = a->x[at + i];
    if (a->bias != NULL) v += a->bias[i];
    if (a->mask != NULL) v *= a->mask[at + i];
    if (a->residual != NULL) v += a->residual[at + i];
    a->sum[at + i] = v;
    total += v;
  }
  return total / (float)columns;
}

MP_INLINE void normalise(const mp_residual_norm_arguments *a, size_t row, float mean) {
  const size_t columns = a->columns;
  const float *sum = a->sum + row * columns;
  float *y = a->y + row * columns;
  vector squares = {0};
  size_t i = 0;
  for (; i + VECTOR_LANES <= columns; i += VECTOR_LANES) {
    const vector centred = load(sum + i) - mean;
    squares += centred * centred;
  }
  float variance = sum_of(squares);
  for (; i < columns; i++) variance += (sum[i] - mean) * (sum[i] - mean);
  const float inverse = 1.0f / sqrtf(variance / (float)columns + a->epsilon);
  for (i = 0; i + VECTOR_LANES <= columns; i += VECTOR_LANES) {
    vector v = (load(sum + i) - mean) * inverse * load(a->scale + i);
    if (a->norm_bias != NULL) v += load(a->norm_bias + i);
    store(y + i, v);
  }
  for (; i < columns; i++) {
    y[i] = (sum[i] - mean) * inverse * a->scale[i] + (a->norm_bias != NULL ? a->norm_bias[i] : 0.0f);
  }
  if (a->mean != NULL) a->mean[row] = mean;
  if (a->inverse != NULL) a->inverse[row] = inverse;
}

MP_INLINE void residual_rows_body(residual_norm *r, size_t from, size_t to) {
  for (size_t row = from; row < to; row++) {
    const float mean = residual_sum(r->arguments, row);
    if (r->arguments->y != NULL) normalise(r->arguments, row, mean);
  }
}
MP_FOR_LEVELS(residual_rows, residual_norm)

static void residual_task(void *argument, size_t index) {
  residual_norm *r = argument;
  const size_t rows = rows_of_task(r->arguments->columns);
  residual_rows(r->cpu, r, index * rows, mp_smaller(r->arguments->rows, (index + 1) * rows));
}

mp_status mp_residual_norm(const mp_context *context, const mp_residual_norm_arguments *arguments) {
  if (!mp_cpu_supports(context->cpu)) return MP_UNSUPPORTED;
  residual_norm r = {.cpu = context->cpu, .arguments = arguments};
  mp_spread(context, residual_task, mp_divide_up(arguments->rows, rows_of_task(arguments->columns)), &r);
  return MP_OK;
}
