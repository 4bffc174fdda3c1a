/** @file The kernels over the last axis against their formulas in float64. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

typedef struct {
  size_t rows, columns, count;
  mp_context context;
  double *expected, *tolerance;
} sizes;

static sizes random_sizes(mp_cpu cpu) {
  sizes s = {.rows = random_size(200), .columns = 1 + random_size(800)};
  s.count = s.rows * s.columns;
  s.context = context_of(cpu, 1 + random_below(4));
  const size_t room = s.count + s.columns;
  s.expected = calloc(room, sizeof *s.expected);
  s.tolerance = malloc(room * sizeof *s.tolerance);
  for (size_t i = 0; i < room; i++) s.tolerance[i] = 2e-5;
  return s;
}

static void end(sizes *s) {
  free(s->expected);
  free(s->tolerance);
}

static void check_softmax(mp_cpu cpu) {
  sizes s = random_sizes(cpu);
  float *y = random_floats(s.count);
  float *dy = random_floats(s.count);
  float *dx = floats(s.count);
  for (size_t row = 0; row < s.rows; row++) {
    const size_t at = row * s.columns;
    double sum = 0;
    double dot = 0;
    for (size_t i = 0; i < s.columns; i++) sum += y[at + i] = y[at + i] * y[at + i] + 1e-6f;
    for (size_t i = 0; i < s.columns; i++) dot += dy[at + i] * (y[at + i] = (float)(y[at + i] / sum));
    for (size_t i = 0; i < s.columns; i++) {
      s.expected[at + i] = (dy[at + i] - dot) * y[at + i];
      s.tolerance[at + i] = 1e-6 * y[at + i] + 1e-12;
    }
  }
  CHECK(mp_softmax_grad(&s.context, y, dy, dx, s.rows, s.columns) == MP_OK, "%s", mp_cpu_name(cpu));
  check_close("softmax gradient", dx, s.expected, s.tolerance, s.count);
  CHECK(mp_softmax_grad(&s.context, y, dy, dy, s.rows, s.columns) == MP_OK, "%s", mp_cpu_name(cpu));
  check_same("softmax gradient in place", dy, dx, s.count);
  release(dx);
  release(dy);
  release(y);
  end(&s);
}

static void check_layer_norm(mp_cpu cpu) {
  sizes s = random_sizes(cpu);
  float *x = random_floats(s.count), *dy = random_floats(s.count), *scale = random_floats(s.columns);
  float *mean = floats(s.rows), *inverse = floats(s.rows), *dx = floats(s.count);
  float *dscale = floats(s.columns), *dbias = floats(s.columns);
  double *expected_dscale = calloc(s.columns, sizeof(double)), *expected_dbias = calloc(s.columns, sizeof(double));
  for (size_t row = 0; row < s.rows; row++) {
    const float *xs = x + row * s.columns, *dys = dy + row * s.columns;
    double sum = 0, square = 0, total = 0, dot = 0;
    for (size_t i = 0; i < s.columns; i++) sum += xs[i];
    mean[row] = (float)(sum / (double)s.columns);
    for (size_t i = 0; i < s.columns; i++) square += (xs[i] - mean[row]) * (xs[i] - mean[row]);
    inverse[row] = (float)(1 / sqrt(square / (double)s.columns + 1e-2));
    for (size_t i = 0; i < s.columns; i++) {
      const double normalised = (xs[i] - (double)mean[row]) * inverse[row];
      total += dys[i] * scale[i];
      dot += dys[i] * scale[i] * normalised;
      expected_dscale[i] += dys[i] * normalised;
      expected_dbias[i] += dys[i];
    }
    for (size_t i = 0; i < s.columns; i++) {
      const double normalised = (xs[i] - (double)mean[row]) * inverse[row];
      s.expected[row * s.columns + i] =
          inverse[row] * (dys[i] * scale[i] - total / (double)s.columns - normalised * dot / (double)s.columns);
    }
  }
  mp_layer_norm_grad_arguments a = {.rows = s.rows, .columns = s.columns, .x = x, .dy = dy, .scale = scale,
                                    .mean = mean, .inverse = inverse, .dx = dx, .dscale = dscale, .dbias = dbias};
  void *scratch = scratch_of(mp_layer_norm_grad_scratch(&s.context, s.rows, s.columns));
  CHECK(mp_layer_norm_grad(&s.context, &a, scratch) == MP_OK, "%s", mp_cpu_name(cpu));
  check_close("layer norm dx", dx, s.expected, s.tolerance, s.count);
  for (size_t i = 0; i < s.columns; i++) s.tolerance[i] = 1e-5 * (1 + (double)s.rows);
  check_close("layer norm dscale", dscale, expected_dscale, s.tolerance, s.columns);
  check_close("layer norm dbias", dbias, expected_dbias, s.tolerance, s.columns);

  float *same = floats(s.columns);
  const mp_context one = context_of(cpu, 1);
  a = (mp_layer_norm_grad_arguments){.rows = s.rows, .columns = s.columns, .x = x, .dy = dy, .scale = scale,
                                     .mean = mean, .inverse = inverse, .dx = dy, .dscale = same};
  CHECK(mp_layer_norm_grad(&one, &a, scratch) == MP_OK, "%s", mp_cpu_name(cpu));
  check_same("layer norm dx in place", dy, dx, s.count);
  check_same("layer norm dscale on one thread", same, dscale, s.columns);
  release(same);
  free(scratch);
  free(expected_dscale);
  free(expected_dbias);
  release(dbias);
  release(dscale);
  release(dx);
  release(inverse);
  release(mean);
  release(scale);
  release(dy);
  release(x);
  end(&s);
}

static void check_residual(mp_cpu cpu) {
  sizes s = random_sizes(cpu);
  float *x = random_floats(s.count), *bias = random_floats(s.columns), *mask = random_floats(s.count);
  float *residual = random_floats(s.count), *scale = random_floats(s.columns), *shift = random_floats(s.columns);
  float *sum = floats(s.count), *y = floats(s.count), *mean = floats(s.rows), *inverse = floats(s.rows);
  const int with = (int)random_below(16);
  const mp_residual_norm_arguments a = {
      .rows = s.rows,
      .columns = s.columns,
      .x = x,
      .bias = with & 1 ? bias : NULL,
      .mask = with & 2 ? mask : NULL,
      .residual = with & 4 ? residual : NULL,
      .sum = sum,
      .scale = scale,
      .norm_bias = with & 8 ? shift : NULL,
      .epsilon = 1e-2f,
      .y = y,
      .mean = mean,
      .inverse = inverse,
  };
  CHECK(mp_residual_norm(&s.context, &a) == MP_OK, "%s", mp_cpu_name(cpu));
  double *expected_mean = calloc(s.rows + 1, sizeof(double)), *expected_inverse = calloc(s.rows + 1, sizeof(double));
  double *expected_y = malloc((s.count + 1) * sizeof(double));
  for (size_t row = 0; row < s.rows; row++) {
    double *sums = s.expected + row * s.columns;
    double total = 0, squares = 0;
    for (size_t i = 0; i < s.columns; i++) {
      const size_t at = row * s.columns + i;
      sums[i] = ((double)x[at] + (a.bias ? bias[i] : 0)) * (a.mask ? mask[at] : 1) + (a.residual ? residual[at] : 0);
      total += sums[i] / (double)s.columns;
    }
    for (size_t i = 0; i < s.columns; i++) squares += (sums[i] - total) * (sums[i] - total) / (double)s.columns;
    expected_mean[row] = total;
    expected_inverse[row] = 1 / sqrt(squares + (double)a.epsilon);
    for (size_t i = 0; i < s.columns; i++) {
      expected_y[row * s.columns + i] =
          (sums[i] - total) * expected_inverse[row] * scale[i] + (a.norm_bias ? shift[i] : 0);
    }
  }
  check_close("residual sum", sum, s.expected, s.tolerance, s.count);
  check_close("residual norm", y, expected_y, s.tolerance, s.count);
  check_close("mean", mean, expected_mean, s.tolerance, s.rows < s.count ? s.rows : s.count);
  for (size_t i = 0; i < s.rows && i < s.count; i++) s.tolerance[i] = 1e-5 * expected_inverse[i];
  check_close("inverse", inverse, expected_inverse, s.tolerance, s.rows < s.count ? s.rows : s.count);
  free(expected_y);
  free(expected_inverse);
  free(expected_mean);
  release(inverse);
  release(mean);
  release(y);
  release(sum);
  release(shift);
  release(scale);
  release(residual);
  release(mask);
  release(bias);
  release(x);
  end(&s);
}

void test_rows(void) {
  for (mp_cpu cpu = MP_CPU_SCALAR; cpu <= MP_CPU_AVX512_BF16; cpu++) {
    if (!mp_cpu_supports(cpu)) {
      printf("rows: %s is not supported here\n", mp_cpu_name(cpu));
      continue;
    }
    for (int round = 0; round < 40; round++) {
      check_softmax(cpu);
      check_layer_norm(cpu);
      check_residual(cpu);
    }
  }
}
