/**
 * @file Kernels of the native runtime: pure functions over row-major float32 memory of the caller.
 *
 * None keeps state, allocates, or prints. Memory that a kernel needs beside its operands is `scratch`, given by the
 * caller: as many bytes as the kernel's `_scratch` function says (0: NULL is fine), aligned to MP_ALIGNMENT. Operands
 * need only the alignment of their elements. An output may alias an input only where that is said.
 * Results do not depend on the number of threads.
 */
#ifndef MODELPRESS_KERNELS_H
#define MODELPRESS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define MP_ALIGNMENT 64

typedef enum {
  MP_OK = 0,
  /** Sizes that contradict each other, or whose product does not fit size_t. */
  MP_INVALID = 1,
  /** The context asks for instructions that this processor, or this build, does not have. */
  MP_UNSUPPORTED = 2,
  /** A packed weight that is truncated, of another version, or inconsistent. */
  MP_CORRUPT = 3
} mp_status;

/* ---- processor ------------------------------------------------------------------------------------------------- */

/** What a kernel may use; each includes the ones before it of the same architecture. */
typedef enum {
  MP_CPU_SCALAR = 0,
  /** AVX2, FMA */
  MP_CPU_AVX2 = 1,
  /** AVX-512 F, BW, DQ, VL */
  MP_CPU_AVX512 = 2,
  /** and AVX-512 BF16 */
  MP_CPU_AVX512_BF16 = 3,
  /** Arm Advanced SIMD */
  MP_CPU_NEON = 4
} mp_cpu;

/** The best level that this processor and operating system (XCR0) support and this build contains. */
mp_cpu mp_cpu_best(void);
/** Whether kernels may run at this level here: for tests of the lower levels. */
int mp_cpu_supports(mp_cpu cpu);
/** "scalar", "avx2", "avx512", "avx512-bf16", "neon". */
const char *mp_cpu_name(mp_cpu cpu);
/** Whether the processor has VNNI int8 dot products (AVX512_VNNI), for sparse int8. */
int mp_cpu_has_vnni(void);

/* ---- how a kernel runs ------------------------------------------------------------------------------------------ */

/** How a kernel spreads work: `total` tasks, each called once with its index, on any thread of the session's pool. */
typedef struct {
  /**
   * `max_batches`: into how many groups the tasks may be split at most; 0 lets the pool choose.
   * NULL: all tasks run on the calling thread.
   */
  void (*run)(void *pool, void (*task)(void *arg, size_t index), size_t total, size_t max_batches, void *arg);
  void *pool;
} mp_parallel;

typedef struct {
  mp_cpu cpu;
  mp_parallel parallel;
} mp_context;

/* ---- matrix product in bfloat16 ----------------------------------------------------------------------------------- */

/** `batch` products Y = alpha op(A) op(B): matrices of a batch follow each other without gaps. */
typedef struct {
  size_t batch, m, n, k;
  /** A is [k, m] instead of [m, k]. */
  int transpose_a;
  /** B is [n, k] instead of [k, n]. */
  int transpose_b;
  float alpha;
  /** Y holds a matrix that the product is added to; without bias. */
  int accumulate;
} mp_gemm_shape;

/** Bytes of scratch for `mp_bf16_gemm`. */
size_t mp_bf16_gemm_scratch(const mp_context *context, const mp_gemm_shape *shape);

/**
 * Y [batch, m, n] = alpha op(A) op(B) + bias. Operands are rounded to bfloat16 (nearest even) while packing; sums,
 * alpha and bias are float32. Every level gives the product of the rounded operands.
 * @param bias [n] or NULL
 */
mp_status mp_bf16_gemm(const mp_context *context, const mp_gemm_shape *shape, const float *a, const float *b,
                       const float *bias, float *y, void *scratch);

/** Bytes of op(B) packed once, for weights that stay the same over many runs; batch must be 1. */
size_t mp_bf16_pack_size(const mp_context *context, const mp_gemm_shape *shape);
/** Packs B. The format belongs to this process: it depends on `context->cpu` and is never stored. */
mp_status mp_bf16_pack(const mp_context *context, const mp_gemm_shape *shape, const float *b, void *packed);
/** Bytes of scratch for `mp_bf16_gemm_packed`. */
size_t mp_bf16_gemm_packed_scratch(const mp_context *context, const mp_gemm_shape *shape);
/** As `mp_bf16_gemm` with a B packed by `mp_bf16_pack` for the same n, k and context. */
mp_status mp_bf16_gemm_packed(const mp_context *context, const mp_gemm_shape *shape, const float *a,
                              const void *packed, const float *bias, float *y, void *scratch);

/* ---- elementwise and row-wise, float32 ------------------------------------------------------------------------------ */

typedef enum { MP_GELU_ERF = 0, MP_GELU_TANH = 1 } mp_gelu_kind;

/** y = x cdf(x), or its tanh approximation. y may be x. */
mp_status mp_gelu(const mp_context *context, mp_gelu_kind kind, const float *x, float *y, size_t count);
/** dx = dy gelu'(x). dx may be x or dy. */
mp_status mp_gelu_grad(const mp_context *context, mp_gelu_kind kind, const float *x, const float *dy, float *dx,
                       size_t count);

/** With y = softmax(x) along the last axis: dx = (dy - sum(dy y)) y. dx may be dy. */
mp_status mp_softmax_grad(const mp_context *context, const float *y, const float *dy, float *dx, size_t rows,
                          size_t columns);

/** Layer normalisation over the last axis: normalised = (x - mean) inverse, y = normalised scale + bias. */
typedef struct {
  size_t rows, columns;
  /** [rows, columns] */
  const float *x, *dy;
  /** [columns] */
  const float *scale;
  /** [rows]: mean and 1 / standard deviation, as the forward pass gave them. */
  const float *mean, *inverse;
  /** [rows, columns], or NULL when not wanted; may be dy. */
  float *dx;
  /** [columns], or NULL when not wanted. */
  float *dscale, *dbias;
} mp_layer_norm_grad_arguments;

size_t mp_layer_norm_grad_scratch(const mp_context *context, size_t rows, size_t columns);
mp_status mp_layer_norm_grad(const mp_context *context, const mp_layer_norm_grad_arguments *arguments, void *scratch);

/** sum = (x + bias) mask + residual, and, where `y` is wanted, its layer normalisation. */
typedef struct {
  size_t rows, columns;
  /** [rows, columns] */
  const float *x;
  /** [columns] or NULL */
  const float *bias;
  /** [rows, columns]: 0 or 1 / (1 - dropout); or NULL */
  const float *mask;
  /** [rows, columns] or NULL */
  const float *residual;
  /** [rows, columns]; may be x, residual or y */
  float *sum;
  /** Of the normalisation; NULL: only the sum is computed. bias may be NULL. */
  const float *scale, *norm_bias;
  float epsilon;
  /** [rows, columns] */
  float *y;
  /** [rows] */
  float *mean, *inverse;
} mp_residual_norm_arguments;

mp_status mp_residual_norm(const mp_context *context, const mp_residual_norm_arguments *arguments);

/* ---- loops over the memory of parameters ------------------------------------------------------------------------------ */

typedef enum {
  /** g = scale source; m += one_minus_beta1 (g - m); v = beta2 v + one_minus_beta2 g^2;
      target = target keep - step_size m / (sqrt(v) + epsilon) */
  MP_SLAB_ADAMW = 0,
  /** target += source */
  MP_SLAB_ACCUMULATE = 1,
  /** target *= factor */
  MP_SLAB_SCALE = 2,
  /** target += factor (source - target) */
  MP_SLAB_EMA = 3,
  /** result = sum of source^2 in double precision */
  MP_SLAB_SUM_SQUARES = 4,
  /** target = 0 where masks is 0 */
  MP_SLAB_MASK = 5,
  /** target = a 16-bit draw of the stream `key` >= threshold ? factor : 0 */
  MP_SLAB_DROPOUT_MASK = 6
} mp_slab_kernel;

typedef struct {
  float scale, keep, one_minus_beta1, beta2, one_minus_beta2, step_size, epsilon;
} mp_adamw_scalars;

/** One loop over `count` elements; what its kernel does not name is not read. */
typedef struct {
  mp_slab_kernel kernel;
  size_t count;
  float *target;
  const float *source;
  float *first_moment, *second_moment;
  const uint8_t *masks;
  mp_adamw_scalars adamw;
  float factor;
  uint32_t key[2], threshold;
  double result;
} mp_slab_call;

/**
 * Runs every call, each on one thread; calls must not write what another one touches. Bits are those of the kernels in
 * packages/core/assembly/kernels.ts at every level.
 */
mp_status mp_slab_calls(const mp_context *context, mp_slab_call *calls, size_t count);

/* ---- sparse weights --------------------------------------------------------------------------------------------------- */

/** Which weights of W [k, n] (inputs x outputs) are kept together. */
typedef enum {
  MP_SPARSE_UNSTRUCTURED = 0,
  /** One input, 16 consecutive outputs. */
  MP_SPARSE_1X16 = 1,
  /** One input, 4 consecutive outputs ("4x1": 4 outputs share one input). */
  MP_SPARSE_4X1 = 2,
  /** 1x16 with weights rounded to int8, a scale for each output; X is rounded to int8, a scale for each row. */
  MP_SPARSE_1X16_INT8 = 3
} mp_sparse_pattern;

typedef struct {
  mp_sparse_pattern pattern;
  size_t k, n;
  /** Weights stored, zeros inside a kept block included. */
  size_t stored;
} mp_sparse_info;

/** Bytes of the packed form of a dense W [k, n]; 0 when sizes are invalid. */
size_t mp_sparse_pack_size(mp_sparse_pattern pattern, const float *w, size_t k, size_t n);
/** Packs what is not zero. The format is versioned, little endian and the same on every processor: it may be stored. */
mp_status mp_sparse_pack(mp_sparse_pattern pattern, const float *w, size_t k, size_t n, void *pack, size_t bytes);
/** Checks a pack from an untrusted file completely: after MP_OK no kernel reads outside it, its x or its y. */
mp_status mp_sparse_check(const void *pack, size_t bytes, mp_sparse_info *info);

size_t mp_sparse_gemm_scratch(const mp_context *context, const mp_sparse_info *info, size_t m);
/**
 * Y [m, n] = X [m, k] W + bias.
 * @param pack that passed `mp_sparse_check`, aligned to MP_ALIGNMENT
 * @param bias [n] or NULL
 */
mp_status mp_sparse_gemm(const mp_context *context, const void *pack, const float *x, size_t m, const float *bias,
                         float *y, void *scratch);

#endif
