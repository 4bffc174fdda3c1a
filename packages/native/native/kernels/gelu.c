/** @file GELU (Hendrycks and Gimpel 2016, arXiv:1606.08415) forward and backward in one pass. */
#include "spread.h"
#include "vector.h"

enum { CHUNK = 16384 };

typedef struct {
  mp_cpu cpu;
  mp_gelu_kind kind;
  const float *x, *dy;
  float *out;
  size_t count;
} gelu;

/**
 * The normal distribution function: erf by Abramowitz and Stegun 7.1.26, |error| <= 1.5e-7, which needs the
 * exponential of the density and nothing else.
 * @param bell e^(-x^2 / 2)
 */
MP_INLINE vector normal_cdf(vector x, vector bell) {
  const vector t = 1.0f / (absolute(x) * (0.3275911f * 0.70710678f) + 1.0f);
  vector p = t * 1.061405429f - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const vector upper = p * t * bell * 0.5f;
  return choose(x < 0.0f, upper, 1.0f - upper);
}

/** 1 / (1 + e^(-2 u)) with u = sqrt(2 / pi) (x + 0.044715 x^3): (1 + tanh u) / 2. */
MP_INLINE vector tanh_cdf(vector x) {
  const vector u = x * (x * x * (2.0f * 0.79788456f * 0.044715f) + 2.0f * 0.79788456f);
  return 1.0f / (exponential(-u) + 1.0f);
}

MP_INLINE vector gelu_of(mp_gelu_kind kind, vector x) {
  return x * (kind == MP_GELU_TANH ? tanh_cdf(x) : normal_cdf(x, exponential(x * x * -0.5f)));
}

MP_INLINE vector derivative_of(mp_gelu_kind kind, vector x) {
  if (kind == MP_GELU_TANH) {
    const vector cdf = tanh_cdf(x);
    const vector slope = x * x * (6.0f * 0.79788456f * 0.044715f) + 2.0f * 0.79788456f;
    return cdf + x * cdf * (1.0f - cdf) * slope;
  }
  const vector bell = exponential(x * x * -0.5f);
  return normal_cdf(x, bell) + x * bell * 0.39894228f;
}

MP_INLINE void each(const gelu *g, mp_gelu_kind kind, const float *x, const float *dy, float *out) {
  const vector v = load(x);
  store(out, g->dy == NULL ? gelu_of(kind, v) : load(dy) * derivative_of(kind, v));
}

MP_INLINE void range_of(const gelu *g, mp_gelu_kind kind, size_t from, size_t to) {
  const float *dy = g->dy == NULL ? g->x : g->dy;
  size_t i = from;
  for (; i + VECTOR_LANES <= to; i += VECTOR_LANES) each(g, kind, g->x + i, dy + i, g->out + i);
  if (i == to) return;
  float x[VECTOR_LANES] = {0};
  float last_dy[VECTOR_LANES] = {0};
  float out[VECTOR_LANES];
  memcpy(x, g->x + i, (to - i) * sizeof *x);
  memcpy(last_dy, dy + i, (to - i) * sizeof *x);
  each(g, kind, x, last_dy, out);
  memcpy(g->out + i, out, (to - i) * sizeof *out);
}

MP_INLINE void range_body(gelu *g, size_t from, size_t to) {
  if (g->kind == MP_GELU_TANH) range_of(g, MP_GELU_TANH, from, to);
  else range_of(g, MP_GELU_ERF, from, to);
}
MP_FOR_LEVELS(range, gelu)

static void task(void *argument, size_t index) {
  gelu *g = argument;
  range(g->cpu, g, index * CHUNK, mp_smaller(g->count, (index + 1) * CHUNK));
}

static mp_status run(const mp_context *context, gelu *g) {
  if (!mp_cpu_supports(context->cpu)) return MP_UNSUPPORTED;
  mp_spread(context, task, mp_divide_up(g->count, CHUNK), g);
  return MP_OK;
}

mp_status mp_gelu(const mp_context *context, mp_gelu_kind kind, const float *x, float *y, size_t count) {
  gelu g = {.cpu = context->cpu, .kind = kind, .x = x, .out = y, .count = count};
  return run(context, &g);
}

mp_status mp_gelu_grad(const mp_context *context, mp_gelu_kind kind, const float *x, const float *dy, float *dx,
                       size_t count) {
  gelu g = {.cpu = context->cpu, .kind = kind, .x = x, .dy = dy, .out = dx, .count = count};
  return run(context, &g);
}
