/**
 * @file Loops over the memory of parameters, for training. packages/core/assembly/kernels.ts has the equations; every
 * function here gives the same bits, so products and sums must not be contracted to fused multiply-adds.
 */
#ifdef __clang__
#pragma clang fp contract(off)
#else
#pragma GCC optimize("fp-contract=off")
#endif

#include <math.h>

#include "spread.h"
#include "vector.h"

/** As the partial sums of the square norm are numbered. */
enum { PARTIAL_SUMS = 8 };

MP_INLINE void adamw(const mp_slab_call *c) {
  float *restrict w = c->target;
  const float *restrict g = c->source;
  float *restrict m = c->first_moment;
  float *restrict v = c->second_moment;
  const mp_adamw_scalars s = c->adamw;
  for (size_t i = 0; i < c->count; i++) {
    const float gradient = g[i] * s.scale;
    const float m1 = m[i] + s.one_minus_beta1 * (gradient - m[i]);
    const float v1 = s.beta2 * v[i] + s.one_minus_beta2 * (gradient * gradient);
    m[i] = m1;
    v[i] = v1;
    w[i] = w[i] * s.keep - (s.step_size * m1) / (sqrtf(v1) + s.epsilon);
  }
}

MP_INLINE void accumulate(const mp_slab_call *c) {
  float *restrict target = c->target;
  const float *restrict source = c->source;
  for (size_t i = 0; i < c->count; i++) target[i] += source[i];
}

MP_INLINE void scale(const mp_slab_call *c) {
  float *target = c->target;
  const float factor = c->factor;
  for (size_t i = 0; i < c->count; i++) target[i] *= factor;
}

MP_INLINE void moving_average(const mp_slab_call *c) {
  float *restrict average = c->target;
  const float *restrict source = c->source;
  const float rate = c->factor;
  for (size_t i = 0; i < c->count; i++) average[i] += rate * (source[i] - average[i]);
}

MP_INLINE double sum_squares(const mp_slab_call *c) {
  const float *source = c->source;
  double sums[PARTIAL_SUMS] = {0};
  size_t i = 0;
  for (; i + PARTIAL_SUMS <= c->count; i += PARTIAL_SUMS) {
    for (size_t lane = 0; lane < PARTIAL_SUMS; lane++) {
      sums[lane] += (double)source[i + lane] * (double)source[i + lane];
    }
  }
  const double even = (sums[0] + sums[2]) + (sums[4] + sums[6]);
  const double odd = (sums[1] + sums[3]) + (sums[5] + sums[7]);
  double sum = even + odd;
  for (; i < c->count; i++) sum += (double)source[i] * (double)source[i];
  return sum;
}

MP_INLINE void apply_mask(const mp_slab_call *c) {
  float *restrict target = c->target;
  const uint8_t *restrict masks = c->masks;
  for (size_t i = 0; i < c->count; i++) target[i] = masks[i] ? target[i] : 0.0f;
}

/** 16 bits of word i div 2 of the stream `key`, against the threshold. */
MP_INLINE void draw_mask(const mp_slab_call *c) {
  uint32_t *restrict target = (uint32_t *)c->target;
  const uint32_t key0 = c->key[0];
  const uint32_t key1 = c->key[1];
  const uint32_t threshold = c->threshold;
  uint32_t value;
  memcpy(&value, &c->factor, sizeof value);
  for (size_t i = 0; i < c->count; i++) {
    uint32_t x = (uint32_t)(i >> 1) ^ key0;
    x = (x ^ (x >> 16)) * 0x21f0aaadu;
    x ^= key1;
    x = (x ^ (x >> 15)) * 0xd35a2d97u;
    x ^= x >> 15;
    target[i] = ((x >> ((i & 1) << 4)) & 0xffffu) >= threshold ? value : 0;
  }
}

MP_INLINE void calls_of_body(mp_slab_call *calls, size_t from, size_t to) {
  for (mp_slab_call *c = calls + from; c < calls + to; c++) {
    switch (c->kernel) {
      case MP_SLAB_ADAMW: adamw(c); break;
      case MP_SLAB_ACCUMULATE: accumulate(c); break;
      case MP_SLAB_SCALE: scale(c); break;
      case MP_SLAB_EMA: moving_average(c); break;
      case MP_SLAB_SUM_SQUARES: c->result = sum_squares(c); break;
      case MP_SLAB_MASK: apply_mask(c); break;
      case MP_SLAB_DROPOUT_MASK: draw_mask(c); break;
    }
  }
}
MP_FOR_LEVELS(calls_of, mp_slab_call)

typedef struct {
  mp_cpu cpu;
  mp_slab_call *calls;
} slab_work;

static void task(void *argument, size_t index) {
  const slab_work *work = argument;
  calls_of(work->cpu, work->calls, index, index + 1);
}

mp_status mp_slab_calls(const mp_context *context, mp_slab_call *calls, size_t count) {
  if (!mp_cpu_supports(context->cpu)) return MP_UNSUPPORTED;
  slab_work work = {.cpu = context->cpu, .calls = calls};
  mp_spread(context, task, count, &work);
  return MP_OK;
}
