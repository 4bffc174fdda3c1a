/**
 * @file Bf16Gemm: Y = alpha op(A) op(B) + C, with operands rounded to bfloat16 and float32 sums.
 *
 * B of rank 2: the leading dimensions of A, which has rank 2 if transposed, are rows. Otherwise A and B have the same
 * leading dimensions, a batch. C, optional, is a row of n elements or has the shape of Y, whose memory it then may give.
 * Attributes transA, transB, alpha as in FusedMatMul.
 * A constant B of rank 2 is packed once.
 */
#include <stdlib.h>
#include <string.h>

#include "op.h"

typedef struct {
  int transpose_a, transpose_b;
  float alpha;
  /** B packed, or NULL when it is not constant. */
  void *packed;
} gemm_state;

/** The product's shape and Y's dimensions; returns what is wrong, or NULL. */
static const char *plan(const tensor *a, const tensor *b, int transpose_a, int transpose_b, mp_gemm_shape *shape,
                        tensor *y) {
  if (a->rank < 2 || b->rank < 2) return "A and B need at least two dimensions";
  const int64_t *a_tail = a->dims + a->rank - 2;
  const int64_t *b_tail = b->dims + b->rank - 2;
  if (a_tail[!transpose_a] != b_tail[transpose_b]) return "the inner dimensions of A and B differ";
  *y = (tensor){.rank = a->rank};
  memcpy(y->dims, a->dims, a->rank * sizeof *a->dims);
  y->dims[a->rank - 2] = a_tail[transpose_a];
  y->dims[a->rank - 1] = b_tail[!transpose_b];
  size_t leading = 1;
  for (size_t i = 0; i + 2 < a->rank; i++) leading *= (size_t)a->dims[i];
  *shape = (mp_gemm_shape){
      .batch = 1,
      .m = (size_t)a_tail[transpose_a],
      .n = (size_t)b_tail[!transpose_b],
      .k = (size_t)a_tail[!transpose_a],
      .transpose_a = transpose_a,
      .transpose_b = transpose_b,
      .alpha = 1,
  };
  if (b->rank == 2) {
    if (transpose_a && a->rank > 2) return "a transposed A with more than two dimensions needs a B with as many";
    shape->m *= leading;
    return NULL;
  }
  if (a->rank != b->rank || memcmp(a->dims, b->dims, (a->rank - 2) * sizeof *a->dims) != 0) {
    return "A and B differ in their leading dimensions";
  }
  shape->batch = leading;
  return NULL;
}

static ort_status *pack(op_environment *environment, const ort_value *value, gemm_state *state) {
  tensor b;
  ort_status *status = read_value(environment->api, value, &b);
  if (status != NULL || b.rank != 2 || b.count == 0) return status;
  const mp_context context = {.cpu = environment->cpu};
  const mp_gemm_shape shape = {
      .batch = 1,
      .m = 1,
      .n = (size_t)b.dims[!state->transpose_b],
      .k = (size_t)b.dims[state->transpose_b],
      .transpose_b = state->transpose_b,
      .alpha = 1,
  };
  const size_t bytes = mp_bf16_pack_size(&context, &shape);
  if (bytes == 0 || posix_memalign(&state->packed, MP_ALIGNMENT, bytes) != 0) {
    state->packed = NULL;
    return environment->api->create_status(ORT_FAIL, "out of memory for a packed weight");
  }
  if (mp_bf16_pack(&context, &shape, b.data, state->packed) == MP_OK) return NULL;
  return op_error(environment, "Bf16Gemm", "the weight cannot be packed");
}

static ort_status *create(op_environment *environment, const ort_kernel_info *info, void *pointer) {
  gemm_state *state = pointer;
  state->transpose_a = kernel_int(environment, info, "transA", 0) != 0;
  state->transpose_b = kernel_int(environment, info, "transB", 0) != 0;
  state->alpha = kernel_float(environment, info, "alpha", 1);
  const ort_value *value = NULL;
  int is_constant = 0;
  ort_status *status = environment->api->kernel_constant_input(info, 1, &is_constant, &value);
  if (status != NULL || !is_constant || value == NULL) return status;
  return pack(environment, value, state);
}

static void destroy(void *state) { free(((gemm_state *)state)->packed); }

static ort_status *multiply(op_call *call, const mp_gemm_shape *shape, const tensor *a, const tensor *b,
                            const float *bias, tensor *y) {
  const gemm_state *state = call->state;
  op_environment *environment = call->environment;
  const mp_context *context = &call->context;
  const size_t bytes = state->packed != NULL ? mp_bf16_gemm_packed_scratch(context, shape)
                                             : mp_bf16_gemm_scratch(context, shape);
  const scratch_block scratch = scratch_take(&environment->scratch, bytes);
  if (scratch.memory == NULL) return environment->api->create_status(ORT_FAIL, "Failed to allocate scratch memory");
  const mp_status result =
      state->packed != NULL
          ? mp_bf16_gemm_packed(context, shape, a->data, state->packed, bias, y->data, scratch.memory)
          : mp_bf16_gemm(context, shape, a->data, b->data, bias, y->data, scratch.memory);
  scratch_give(&environment->scratch, scratch);
  return call_result(call, "Bf16Gemm", result);
}

static ort_status *compute(op_call *call) {
  const gemm_state *state = call->state;
  tensor a, b, bias, y;
  ort_status *status = call_input(call, 0, &a);
  if (status == NULL) status = call_input(call, 1, &b);
  if (status == NULL) status = call_input(call, 2, &bias);
  if (status != NULL) return status;
  mp_gemm_shape shape;
  const char *fault = plan(&a, &b, state->transpose_a, state->transpose_b, &shape, &y);
  const int is_matrix = bias.data != NULL && bias.rank > 1;
  if (fault == NULL && bias.data != NULL && !(is_matrix ? same_shape(&bias, &y) : bias.count == shape.n)) {
    fault = "C is neither a row of Y nor as large as Y";
  }
  if (fault != NULL) return op_error(call->environment, "Bf16Gemm", fault);
  shape.alpha = state->alpha;
  shape.accumulate = is_matrix;
  status = call_output(call, 0, y.rank, y.dims, &y);
  if (status != NULL || y.count == 0) return status;
  if (is_matrix && bias.data != y.data) memcpy(y.data, bias.data, y.count * sizeof(float));
  return multiply(call, &shape, &a, &b, is_matrix ? NULL : bias.data, &y);
}

static int infer(const op_environment *environment, ort_shape_context *ort, const tensor *inputs, size_t count,
                 tensor *outputs) {
  mp_gemm_shape shape;
  if (count < 2) return 0;
  const int transpose_a = shape_int(environment, ort, "transA", 0) != 0;
  const int transpose_b = shape_int(environment, ort, "transB", 0) != 0;
  return plan(&inputs[0], &inputs[1], transpose_a, transpose_b, &shape, &outputs[0]) == NULL;
}

const op_spec bf16_gemm_op = {
    .name = "Bf16Gemm",
    .inputs = 3,
    .optional_inputs = 1,
    .outputs = 1,
    .state_bytes = sizeof(gemm_state),
    .create = create,
    .destroy = destroy,
    .compute = compute,
    .infer = infer,
    .in_place = 2,
};
